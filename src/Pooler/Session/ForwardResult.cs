namespace Pooler.Session;

/// <summary>Why the forwarding of requests came to a stop.</summary>
internal enum ForwardResult : byte
{
    /// <summary>Everything that was there has gone; more must be read.</summary>
    Done,

    /// <summary>More is there but must wait for replies; <see cref="RequestForwarder.IsHeld"/>.</summary>
    Held,
    Terminate,
    Violation,
}
