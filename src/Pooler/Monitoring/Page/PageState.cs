namespace Pooler.Monitoring;

/// <summary>What the live page is told each second. Times in microseconds unless it says otherwise; counters since the start, of which the page makes rates.</summary>
internal sealed record PageState
{
    /// <summary>Milliseconds since 1970, and a clock that only goes forward.</summary>
    public required long At { get; init; }

    public required long Clock { get; init; }

    public required string Version { get; init; }

    /// <summary>Seconds.</summary>
    public required double Uptime { get; init; }

    /// <summary>serving, paused, suspended or stopping.</summary>
    public required string Phase { get; init; }

    /// <summary>Why clients should not be sent here; empty: they should.</summary>
    public required List<string> Problems { get; init; }

    public required int Clients { get; init; }

    public required int MaxClients { get; init; }

    public required Listing<DatabaseRow> Databases { get; init; }

    public required Listing<PoolRow> Pools { get; init; }

    public required Listing<HostRow> Hosts { get; init; }

    public required Listing<RouteRow> Routes { get; init; }

    /// <summary>Null: an I/O thread has not answered in time.</summary>
    public required Listing<PinRow>? Pins { get; init; }

    /// <summary>Null: they are not counted.</summary>
    public required Listing<StatementRow>? Statements { get; init; }

    /// <summary>So many as a page can bear, and how many more there are.</summary>
    internal sealed record Listing<T>(List<T> Rows, int More);

    internal sealed record DatabaseRow(
        string Name, string Target, string? Mode, int Clients, int MaxClients, int Servers, int MaxServers, bool IsPaused, bool IsDisabled, long Transactions, long Queries,
        long Received, long Sent, long QueryTime, long WaitTime, long Assignments);

    internal sealed record PoolRow(
        string Database, string User, string? Mode, int Active, int Waiting, long LongestWait, int ServersActive, int ServersIdle, int ServersUsed, int ServersTested, int ServersLogin);

    internal sealed record HostRow(
        string Database, string Address, string Role, string Status, long? LagBytes, long? LagTime, long? Probe, long? SeenAgo, string? Problem, int Waiting, int Active, int Idle,
        int Login, long Leases);

    internal sealed record RouteRow(
        string Database, string? Routing, string? ReadAfterWrite, string? LoadBalance, string? Primary, int Readable, bool IsServing, string? Successor, long? ReplicaReads,
        long? PrimaryReads, int Failovers);

    internal sealed record PinRow(string Id, string Client, string Application, string Database, string User, long Age, string Reason);

    /// <param name="Text">Without its values.</param>
    internal sealed record StatementRow(
        string Id, string Text, string Database, string User, string Host, long Calls, long Rows, long Errors, long Sent, long TotalTime, long P50, long P95, long P99, long WaitTime);
}
