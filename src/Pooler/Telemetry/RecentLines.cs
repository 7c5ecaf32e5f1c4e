namespace Pooler.Telemetry;

/// <summary>The last lines of the log, for who looks on: added by the log's own thread, read by any.</summary>
internal sealed class RecentLines
{
    public const int Most = 200;

    // A statement in a line may be long.
    private const int LongestText = 1000;

    private readonly Lock _lock = new();
    private readonly Queue<RecentLine> _lines = new();
    private long _last;

    public void Add(in LogLine line)
    {
        string text = line.Message.Length <= LongestText ? line.Message : line.Message[..LongestText] + "…";
        lock (_lock)
        {
            _lines.Enqueue(new RecentLine(++_last, line.Time, LogLine.Word(line.Level), text));
            if (_lines.Count > Most)
            {
                _lines.Dequeue();
            }
        }
    }

    /// <summary>Those after this number that are kept, the oldest first.</summary>
    public List<RecentLine> After(long number)
    {
        lock (_lock)
        {
            return [.. _lines.Where(l => l.Number > number)];
        }
    }
}
