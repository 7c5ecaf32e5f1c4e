using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Session;
using Pooler.Statements;
using Pooler.Telemetry;

namespace Pooler.Frontend;

/// <summary>What every login needs of the process.</summary>
/// <param name="Console">Takes over a client that is logged in to the console database; the text is its application_name.</param>
/// <param name="CancelConsole">Cancels what a client of the console waits for; false when the process id is none of theirs.</param>
internal sealed record LoginContext(
    LiveConfig Live, Pools Pools, SessionTable Sessions, Credentials Credentials, ILogger Log, Action<Connection, ClientIdentity, string> Console,
    Func<int, byte[], bool> CancelConsole, Peers Peers)
{
    private const int MostChecks = 16;

    /// <summary>Asks servers for the secrets of users who are not in auth_file.</summary>
    public required SecretQueries SecretQueries { get; init; }

    /// <summary>Runs what logins have to compute (login_work_limit).</summary>
    public OffloadQueue Work { get; } = new(OrdinaryWorkLimit);

    /// <summary>
    /// login_work_limit where it is not set. With a thread for each processor those who ask, those who work for them and the I/O threads
    /// stand in each other's way: on two processors 4 % fewer logins were through in a second.
    /// </summary>
    public static int OrdinaryWorkLimit => Math.Max(1, Environment.ProcessorCount / 2);

    /// <summary>Apart from each other: a dead LDAP server does not keep PAM from its work.</summary>
    public PasswordChecks LdapChecks { get; } = new("LDAP", MostChecks);

    /// <inheritdoc cref="LdapChecks"/>
    public PasswordChecks PamChecks { get; } = new("PAM", MostChecks);

    /// <summary>Checks the tokens of OAuth logins.</summary>
    public required OAuthTokens Tokens { get; init; }

    /// <summary>What clients run is counted here; null: nowhere.</summary>
    public StatementTables? Statements { get; init; }

    /// <summary>Who has failed to log in lately.</summary>
    public LoginFailures Failures { get; } = new(Live, Log);

    /// <summary>
    /// The process comes to its end: only the console takes new clients over the Unix socket (true); over TCP those are still served that
    /// came before it stopped to listen, if clients are waited for.
    /// </summary>
    public Func<bool, bool> IsStopping { get; init; } = static _ => false;

    /// <summary>What a session calls as its last act; one delegate for all of them.</summary>
    public Action<ClientSession, SessionEnd> SessionEnded => field ??= Ended;

    public string LogName(Connection client, ClientIdentity? identity) => ClientIdentity.LogName(client, identity, Live.Current.Get(Settings.ListenPort));

    /// <summary>The lines of a client that goes.</summary>
    /// <param name="cause">What only the log is told.</param>
    public void NoteEnd(string name, string reason, bool isError, long ageSeconds, string? cause = null)
    {
        PoolerConfig config = Live.Current;
        if (config.Get(Settings.LogDisconnections))
        {
            Log.ClientClosing(name, reason, ageSeconds);
        }

        if (isError && config.Get(Settings.LogPoolerErrors))
        {
            Log.PoolerError(name, reason);
            if (cause != null)
            {
                Log.LoginRefused(name, cause);
            }
        }
    }

    /// <summary>A login has ended without a session.</summary>
    public void CountRefusal(ClientIdentity? identity, ErrorFields refusal)
    {
        // Whoever has not proved who he is may ask for any name: only those there are get counters of their own.
        string database = identity is { } asked && Live.Current.Databases.ContainsKey(asked.Database) ? asked.Database : CloseCause.Other;
        Count(database, refusal.Message, refusal);
        Pools.Counts.Logins.Add("failed");
    }

    private void Count(string database, string reason, ErrorFields? error)
    {
        string cause = CloseCause.OfClient(reason, error);
        Pools.Counts.ClientCloses.Add(database, cause);
        if (error != null)
        {
            Pools.Counts.Errors.Add(database, cause);
        }
    }

    private void Ended(ClientSession session, SessionEnd end)
    {
        Sessions.Remove(session);
        Sessions.Disconnected();
        Pools.UncountClient(session.Pool, session.Identity.User);
        string database = session.Pool.Key.Database;
        Count(database, end.Reason, end.Error);
        if (end.Error?.SqlState == SessionErrors.Doubted.SqlState)
        {
            Pools.Counts.UnknownCommits.Add(database);
        }

        PoolerConfig config = Live.Current;
        if (config.Get(Settings.LogDisconnections) || (end.Error != null && config.Get(Settings.LogPoolerErrors)))
        {
            NoteEnd(LogName(session.Client, session.Identity), end.Reason, end.Error != null, session.AgeSeconds);
        }
    }
}
