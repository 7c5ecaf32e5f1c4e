namespace Pooler.Telemetry;

/// <summary>What has happened since the start, by cause.</summary>
internal sealed class EventCounts
{
    /// <summary>By database and cause.</summary>
    public Tally ClientCloses { get; } = new();

    /// <summary>What clients were told of us, by database and cause.</summary>
    public Tally Errors { get; } = new();

    /// <summary>By database, host and cause.</summary>
    public Tally ServerCloses { get; } = new();

    /// <summary>By result: ok, failed.</summary>
    public Tally Logins { get; } = new();

    /// <summary>By database: clients that were told that nobody knows whether their transaction was committed (08007).</summary>
    public Tally UnknownCommits { get; } = new();
}
