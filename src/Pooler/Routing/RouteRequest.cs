using Pooler.Sql;

namespace Pooler.Routing;

/// <summary>What the router knows of a request: of several statements the strongest, and the facts of its session.</summary>
internal readonly record struct RouteRequest
{
    /// <summary>What is not known: it does not fit into the look-ahead, or is not told by its text.</summary>
    public static RouteRequest Unknown => new() { Class = StatementClass.Write, Cause = StatementCause.Unreadable, HasData = true, IsUnknown = true, ReadsData = true };

    public StatementClass Class { get; init; }

    public StatementCause Cause { get; init; }

    public TransactionStep Step { get; init; }

    public TransactionAccess Access { get; init; }

    /// <summary>Asked for, or the session's default.</summary>
    public bool IsSerializable { get; init; }

    /// <summary>Of its comments, else of the session (pooler.route).</summary>
    public RouteHint Hint { get; init; }

    /// <summary>Its answer depends on what a standby has replayed.</summary>
    public bool HasData { get; init; }

    /// <summary>It sets what follows the client.</summary>
    public bool FollowsClient { get; init; }

    public bool IsUnknown { get; init; }

    /// <summary>Its answer hangs on what a replica has replayed.</summary>
    public bool ReadsData { get; init; }

    /// <summary>A replica has refused it, now or before.</summary>
    public bool IsRefused { get; init; }

    /// <summary>The client keeps the server for its session.</summary>
    public bool IsForSession { get; init; }

    /// <summary>Hosts that shall not have it: bit i is host i.</summary>
    public ulong Avoided { get; init; }

    /// <summary>Of all its statements in one; 0 if one was not read.</summary>
    public ulong Fingerprint { get; init; }

    /// <summary>With another statement of the same batch.</summary>
    public RouteRequest And(in StatementSummary next, bool followsClient)
    {
        StatementClass kind = followsClient ? StatementClass.Read : next.Class;
        return this with
        {
            Class = kind > Class ? kind : Class,
            Cause = kind > Class ? next.Cause : Cause,
            Step = next.Step > Step ? next.Step : Step,
            Access = next.Access > Access ? next.Access : Access,
            IsSerializable = IsSerializable || next.IsSerializable,
            Hint = next.Hint > Hint ? next.Hint : Hint,
            HasData = HasData || !(next.IsDataless || followsClient),
            FollowsClient = FollowsClient || followsClient,
            ReadsData = ReadsData || !next.IsDataless,
            Fingerprint = Fingerprint == 0 ? next.Fingerprint : ulong.RotateLeft(Fingerprint, 17) ^ next.Fingerprint,
        };
    }
}
