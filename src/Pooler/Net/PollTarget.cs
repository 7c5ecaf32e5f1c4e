namespace Pooler.Net;

/// <summary>What an I/O thread tells about a descriptor's events: a connection, or a listener.</summary>
internal abstract class PollTarget : RunItem
{
    /// <summary>Tells this registration from an earlier one of the same descriptor.</summary>
    internal uint Generation;

    /// <summary>Its events come before the others of a batch: idle servers (architecture rule 12).</summary>
    internal bool DispatchFirst;

    internal abstract void OnEvents(uint events);
}
