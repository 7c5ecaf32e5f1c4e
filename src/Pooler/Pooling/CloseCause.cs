using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>Why a client or a server is closed, as one of few words, for counters; the log has the whole reason.</summary>
internal static class CloseCause
{
    public const string Other = "other";

    private const string AuthFailed = "auth_failed", ServerLost = "server_lost", NoServer = "no_server", Protocol = "protocol", LoginFailed = "login_failed";

    // The first that a reason begins with. Settings that end something stand in its reason under their own name, with blanks
    // where PgBouncer's words have them.
    private static readonly (string Reason, string Cause)[] s_causes =
    [
        ("client close request", "client_close"),
        ("client unexpected eof", "client_disconnect"),
        ("client disconnect", "client_disconnect"),
        ("query_wait_timeout", "query_wait_timeout"),
        ("query_timeout", "query_timeout"),
        ("query timeout", "query_timeout"),
        ("idle transaction timeout", "idle_transaction_timeout"),
        ("transaction timeout", "transaction_timeout"),
        ("client_idle_timeout", "client_idle_timeout"),
        ("client_login_timeout", "client_login_timeout"),
        ("client_write_timeout", "client_write_timeout"),
        ("no more connections allowed", "too_many_clients"),
        ("client connections exceeded", "too_many_clients"),
        ("TLS handshake failed", "tls_failed"),
        ("no such database", "no_database"),
        ("pooler is shutting down", "shutdown"),
        ("server shutting down", "shutdown"),
        ("server lifetime over", "server_lifetime"),
        ("server idle timeout", "server_idle_timeout"),
        ("pause mode", "admin"),
        ("admin forced disconnect", "admin"),
        ("RECONNECT", "admin"),
        ("database configuration changed", "admin"),
        ("terminating connection: the primary is switched over", "admin"),
        ("evicted", "evicted"),
        ("server address has changed", "dns"),
        ("host is", "host_changed"),
        ("host has", "host_changed"),
    ];

    /// <summary>Every word there is.</summary>
    public static IEnumerable<string> All =>
        s_causes.Select(static c => c.Cause).Concat([AuthFailed, ServerLost, NoServer, Protocol, LoginFailed, Other]).Distinct().Order(StringComparer.Ordinal);

    /// <summary>Of a client's end.</summary>
    /// <param name="error">What it was told; null: nothing.</param>
    public static string OfClient(string reason, ErrorFields? error) => Named(reason) ?? error?.SqlState switch
    {
        "28000" or "28P01" => AuthFailed,
        "08006" or "08001" or "08003" or "08007" or "57P01" or "57P02" => ServerLost,
        "57P03" or "53300" => NoServer,
        "08P01" => Protocol,
        _ => Other,
    };

    /// <summary>Of a server's.</summary>
    public static string OfServer(ErrorFields? failure, bool wasLogin) =>
        wasLogin ? LoginFailed
        : failure == null ? ServerLost
        : Named(failure.Message) ?? failure.SqlState switch
        {
            "08006" or "57P01" or "57P02" => ServerLost,
            "08P01" => Protocol,
            _ => Other,
        };

    private static string? Named(string reason) => Array.Find(s_causes, c => reason.StartsWith(c.Reason, StringComparison.Ordinal)).Cause;
}
