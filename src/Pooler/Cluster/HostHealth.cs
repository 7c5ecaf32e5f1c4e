namespace Pooler.Cluster;

/// <summary>
/// A host's health by its probes and by what happens to servers; immutable. Only replicas are ejected: where the primary is, there
/// is no other to take its place.
/// </summary>
internal sealed record HostHealth
{
    /// <summary>Failures in a row that eject: servers that cannot be opened, or probes much slower than those of the others.</summary>
    public const int MostFailures = 3;

    // Microseconds. Failures further apart are not in a row; pauses double with each ejection that follows a try.
    private const long TooFarApart = 60_000_000, FirstPause = 1_000_000, LongestPause = 60_000_000, Settled = 10_000_000;

    public static HostHealth New { get; } = new();

    public HealthState State { get; init; }

    /// <summary>When it came into this state; microseconds of the process's clock, as the other times.</summary>
    public long Since { get; init; }

    /// <summary>In a row: probes while it is down, else servers that could not be opened.</summary>
    public int Failures { get; init; }

    /// <summary>Probes in a row that were much slower than those of the others.</summary>
    public int SlowProbes { get; init; }

    public string? LastProblem { get; init; }

    public long LastProblemAt { get; init; }

    /// <summary>How often it was ejected, ever and since it was last well.</summary>
    public int Ejections { get; init; }

    public int EjectionsInARow { get; init; }

    /// <summary>While it is ejected: when it is tried again.</summary>
    public long NextTry { get; init; }

    /// <summary>A probe was answered; <paramref name="isTrial"/>: by a new connection, to see whether the host may come back.</summary>
    public HostHealth Answered(long now, bool isTrial) => State switch
    {
        HealthState.Unknown or HealthState.Down => Enter(HealthState.Up, now) with { Failures = 0, SlowProbes = 0 },
        HealthState.Ejected when isTrial => Enter(HealthState.HalfOpen, now) with { Failures = 0 },
        HealthState.HalfOpen when now - Since >= Settled => Enter(HealthState.Up, now) with { EjectionsInARow = 0 },
        _ => this,
    };

    /// <summary>A probe was not answered.</summary>
    public HostHealth Missed(string problem, long now) =>
        (State == HealthState.Down ? this with { Failures = Failures + 1 } : Enter(HealthState.Down, now) with { Failures = 1 }) with { LastProblem = problem, LastProblemAt = now };

    /// <summary>A probe found no connection left: that says nothing of its health, but a try is over.</summary>
    public HostHealth Refused(string problem, long now) =>
        this with { LastProblem = problem, LastProblemAt = now, NextTry = State == HealthState.Ejected ? now + Pause(EjectionsInARow - 1) : 0 };

    /// <summary>A server could not be opened.</summary>
    public HostHealth ServerFailed(string problem, long now) => State == HealthState.Down ? this : this with
    {
        Failures = now - LastProblemAt > TooFarApart ? 1 : Failures + 1,
        LastProblem = problem,
        LastProblemAt = now,
    };

    /// <summary>A server was opened.</summary>
    public HostHealth ServerOpened(long now) => State switch
    {
        HealthState.HalfOpen => Enter(HealthState.Up, now) with { Failures = 0, EjectionsInARow = 0 },
        HealthState.Up => this with { Failures = 0 },
        _ => this,
    };

    /// <summary>It has failed too often to be used.</summary>
    public bool IsFailing => State switch
    {
        HealthState.HalfOpen => Failures > 0 || SlowProbes > 0,
        HealthState.Up => Failures >= MostFailures || SlowProbes >= MostFailures,
        _ => false,
    };

    public HostHealth Eject(long now) => Enter(HealthState.Ejected, now) with
    {
        Ejections = Ejections + 1,
        EjectionsInARow = EjectionsInARow + 1,
        NextTry = now + Pause(EjectionsInARow),
    };

    /// <summary>There is no other: better this one than none.</summary>
    public HostHealth Spare(long now) => Enter(HealthState.HalfOpen, now) with { Failures = 0, SlowProbes = 0 };

    private static long Pause(int ejectionsBefore) => Math.Min(LongestPause, FirstPause << Math.Min(ejectionsBefore, 10));

    private HostHealth Enter(HealthState state, long now) => this with { State = state, Since = now, NextTry = 0 };
}
