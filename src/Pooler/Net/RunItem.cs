namespace Pooler.Net;

/// <summary>Something an I/O thread runs from its run list, outside any other frame. Queued at most once at a time.</summary>
internal abstract class RunItem
{
    internal RunItem? NextToRun;
    internal bool IsQueued;

    internal abstract void Run();
}
