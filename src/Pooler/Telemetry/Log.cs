using Microsoft.Extensions.Logging;

namespace Pooler.Telemetry;

/// <summary>Every line the process logs, with PgBouncer's words where it has some (tools grep them).</summary>
internal static partial class Log
{
    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} login attempt: db={Database} user={User} tls={Tls}")]
    public static partial void LoginAttempt(this ILogger log, string client, string database, string user, string tls);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} login failed: db={Database} user={User}")]
    public static partial void LoginFailed(this ILogger log, string client, string database, string user);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Who}: more than {Limit} failed logins within {Window} s, the verdicts of further ones are kept back (login_failure_limit)")]
    public static partial void LoginsDelayed(this ILogger log, string who, int limit, long window);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Client} auth_query failed: {Error} ({SqlState})")]
    public static partial void AuthQueryFailed(this ILogger log, string client, string sqlState, string error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Client} {Method} authentication failed: {Reason}")]
    public static partial void PasswordCheckFailed(this ILogger log, string client, string method, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} login refused: {Cause}")]
    public static partial void LoginRefused(this ILogger log, string client, string cause);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} OAuth token refused: {Problem}")]
    public static partial void OAuthRefused(this ILogger log, string client, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "OAuth: keys of {Issuer} cannot be fetched: {Problem}")]
    public static partial void OAuthKeysFailed(this ILogger log, string issuer, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} closing because: {Reason} (age={Age}s)")]
    public static partial void ClientClosing(this ILogger log, string client, string reason, long age);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Client} pooler error: {Error}")]
    public static partial void PoolerError(this ILogger log, string client, string error);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Server} new connection to server (from {Local})")]
    public static partial void ServerConnected(this ILogger log, string server, string local);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Server} closing because: {Reason} (age={Age}s)")]
    public static partial void ServerClosing(this ILogger log, string server, string reason, long age);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Server} server login failed: {Severity} {Error} ({SqlState})")]
    public static partial void ServerLoginFailed(this ILogger log, string server, string severity, string error, string sqlState);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Server} {Error}")]
    public static partial void ServerUnreachable(this ILogger log, string server, string error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Server} error while executing connect_query, ignored: {Severity} {SqlState} {Error}")]
    public static partial void ConnectQueryFailed(this ILogger log, string server, string severity, string sqlState, string error);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Host} is {Role} (timeline {Timeline})")]
    public static partial void HostIs(this ILogger log, string host, string role, int timeline);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Host} is down: {Problem}")]
    public static partial void HostIsDown(this ILogger log, string host, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Host} has no connection left for its probe and is taken for what it was: {Problem}")]
    public static partial void HostIsFull(this ILogger log, string host, string problem);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Host} takes writes and is not the primary ({Primary} is; timelines {Timeline} and {Newest}): nothing is sent there (on_two_primaries)")]
    public static partial void TwoPrimaries(this ILogger log, string host, string primary, int timeline, int newest);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Cluster}: no host takes writes: work is held (failover_hold_time)")]
    public static partial void NoPrimary(this ILogger log, string cluster);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Host} holds another data set, system identifier {Found}, not {Known}: nothing is sent there (if the cluster was made anew, remove its line from cluster_state_file and restart)")]
    public static partial void HostIsForeign(this ILogger log, string host, string found, string known);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Host}: the monitor's user lacks pg_monitor, so its lag is not known: GRANT pg_monitor to it (monitor_user)")]
    public static partial void HostIsHidden(this ILogger log, string host);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Host} is left out for {Seconds} s: {Problem}")]
    public static partial void HostIsEjected(this ILogger log, string host, string problem, long seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "cluster_state_file {Path}: cannot be read or written: {Problem}; after a restart an old primary that is there alone would be followed")]
    public static partial void ClusterFileFailed(this ILogger log, string path, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "cluster_state_file {Path}: a line makes no sense and is left out: {Line}")]
    public static partial void ClusterFileDamaged(this ILogger log, string path, string line);

    [LoggerMessage(Level = LogLevel.Information, Message = "DNS: {Name} is {Addresses} now: servers at other addresses of it are closed when they are released")]
    public static partial void NameHasMoved(this ILogger log, string name, object addresses);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Cluster}: the catalogue was read at {Host}")]
    public static partial void CatalogueRead(this ILogger log, string cluster, string host);

    [LoggerMessage(Level = LogLevel.Information, Message = "listening on {Address}")]
    public static partial void Listening(this ILogger log, string address);

    [LoggerMessage(Level = LogLevel.Information, Message = "process up: {Version}, {Workers} I/O thread(s), pid {Pid}")]
    public static partial void ProcessUp(this ILogger log, string version, int workers, int pid);

    [LoggerMessage(Level = LogLevel.Information, Message = "kernel file descriptor limit: {Now} (was {Before}); max_client_conn: {MaxClients}")]
    public static partial void DescriptorLimit(this ILogger log, long now, long before, int maxClients);

    [LoggerMessage(Level = LogLevel.Warning, Message = "file descriptor limit {Limit} is below what max_client_conn={MaxClients} can need; raise it (ulimit -n, LimitNOFILE=)")]
    public static partial void DescriptorLimitLow(this ILogger log, long limit, int maxClients);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} duration: {Duration:F3} ms wait: {Wait:F3} ms rows: {Rows} error: {SqlState} host: {Host} statement: {Statement}")]
    public static partial void SlowStatement(this ILogger log, string client, double duration, double wait, long rows, string sqlState, string host, string statement);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} query log: duration: {Duration:F3} ms wait: {Wait:F3} ms rows: {Rows} error: {SqlState} host: {Host} statement: {Statement}")]
    public static partial void LoggedStatement(this ILogger log, string client, double duration, double wait, long rows, string sqlState, string host, string statement);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{LeftOut} statements were left out of the log (log_statement_limit)")]
    public static partial void StatementsLeftOut(this ILogger log, long leftOut);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Warning}")]
    public static partial void Warn(this ILogger log, string warning);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Event}")]
    public static partial void Note(this ILogger log, string @event);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Error}")]
    public static partial void Failed(this ILogger log, string error);

    [LoggerMessage(Level = LogLevel.Critical, Message = "defect, please report: {Defect}")]
    public static partial void Defect(this ILogger log, string defect);
}
