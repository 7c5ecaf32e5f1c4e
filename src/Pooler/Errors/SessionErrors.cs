using Pooler.Config;

namespace Pooler.Errors;

/// <summary>What clients are told that are logged in.</summary>
internal static class SessionErrors
{
    private const string Error = "ERROR";

    public static readonly ErrorRows Rows = new("In a session", "FATAL");

    public static readonly ClientError QueryWaitTimeout = Rows.Add("query_wait_timeout", "08P01",
        "The client waited so long for a server. The request was not sent.", "See what holds the servers (SHOW POOLS, SHOW SERVERS); give the pool more (pool_size), shorten transactions, or let clients wait longer.", Settings.QueryWaitTimeout);
    public static readonly ClientError QueryTimeoutInQueue = Rows.Add("query_timeout", "08P01",
        "The same, by query_timeout: the wait for a server counts for it.", "See what holds the servers (SHOW POOLS, SHOW SERVERS); give the pool more (pool_size), shorten transactions, or raise query_timeout.", Settings.QueryTimeout);
    public static readonly ClientError QueryTimeout = Rows.Add("query timeout", "08P01",
        "The request was not answered in time; its server connection was closed, which PostgreSQL may notice late.", "Make the query faster, raise query_timeout, or use PostgreSQL's statement_timeout, which ends the query and not the connection.", Settings.QueryTimeout);
    public static readonly ClientError IdleTransactionTimeout = Rows.Add("idle transaction timeout", "08P01",
        "The client was silent for so long in the middle of a transaction, which was rolled back.", "Have the application end its transactions before it does something else, or raise idle_transaction_timeout.", Settings.IdleTransactionTimeout);
    public static readonly ClientError TransactionTimeout = Rows.Add("transaction timeout", "08P01",
        "The transaction was open for so long; it was rolled back.", "Do the work in shorter transactions, or raise transaction_timeout.", Settings.TransactionTimeout);
    public static readonly ClientError ClientIdleTimeout = Rows.Add("client_idle_timeout", "08P01",
        "The client asked for nothing for so long.", "Have the application's pool close or test idle connections earlier, or raise client_idle_timeout.", Settings.ClientIdleTimeout);
    public static readonly ClientError ClientWriteTimeout = Rows.Add("client_write_timeout: the client took no data", "08006",
        "The client did not read its rows for so long and kept a server busy with that.", "Read results as they come (a cursor, COPY), or raise client_write_timeout.", Settings.ClientWriteTimeout);
    public static readonly ClientError Doubted = Rows.Add("{0} (the outcome of the request is unknown)", "08007",
        "A request that changes something was sent and not answered: it may or may not have been committed. The words in front are the error at hand.",
        "Look whether its changes are there before you run it again.", shown: "… (the outcome of the request is unknown)");
    public static readonly ClientError KilledByAdmin = Rows.Add("admin forced disconnect", "08P01",
        "KILL or KILL_CLIENT was given on the console.", "Ask whoever operates the pooler; after KILL connect again once RESUME was given.");
    public static readonly ClientError Stopping = Rows.Add("pooler is shutting down", "57P01",
        "The process is being ended at once (SHUTDOWN, SIGTERM).", "Connect again: to the process that takes its place, or once it is up.");
    public static readonly ClientError StoppingGently = Rows.Add("server shutting down", "57P01",
        "The process is being ended, and nothing of this client was under way (SHUTDOWN WAIT_FOR_SERVERS, SIGINT).", "Connect again: to the process that takes its place, or once it is up.");
    public static readonly ClientError DatabaseChanged = Rows.Add("database configuration changed", "08P01",
        "A RELOAD has changed where this client's server is, and it keeps its server (session mode, a pin).", "Connect again.");
    public static readonly ClientError SwitchedOver = Rows.Add("terminating connection: the primary is switched over, and this session's state cannot move", "57P01",
        "SWITCHOVER was given, and the client keeps a server of the old primary (session mode, a pin).", "Connect again and set the session's state anew.");
    public static readonly ClientError NoPrimary = Rows.Add("no host takes writes, for longer than failover_hold_time (database \"{0}\")", "57P03",
        "No primary was found for so long.", "SHOW HOSTS on the console tells what each host is. Promote one, or see why the probes fail; failover_hold_time is how long clients wait for that.", Settings.FailoverHoldTime);
    public static readonly ClientError NoReplica = Rows.Add("no replica is up and fresh enough, for longer than failover_hold_time (database \"{0}\")", "57P03",
        "The entry sends clients to replicas only, and none could be used for so long.", "SHOW HOSTS on the console tells what each host is and how far it is behind (max_replica_lag, max_replica_lag_time).", Settings.FailoverHoldTime);
    public static readonly ClientError SettingsRefused = Rows.Add("the server refused the client's settings ({0}); the outcome of the request is unknown", "08007",
        "The settings that follow the client were refused by the server, after its request had gone along.", "Look whether its changes are there before you run it again; see why the server takes no setting that it has reported itself.");
    public static readonly ClientError SettingsNotTaken = Rows.Add("the server did not take the client's settings", "08P01",
        "The server answered the settings that follow the client with something else than success. Nothing of the request was sent. Where the server said why, its own error is told.",
        "The settings of the client's startup packet and of its SETs go to each server it is lent: take out the one that is refused.");
    public static readonly ClientError NoTransactions = Rows.Add("transaction blocks not allowed in statement pooling mode", "08P01",
        "pool_mode = statement gives a server for one statement only.", "Use pool_mode = transaction for applications with transactions.", Settings.PoolMode);
    public static readonly ClientError NoSimpleQueries = Rows.Add("PQexec disallowed", "08P01",
        "disable_pqexec is on, and the client sent a simple query.", "Use the extended protocol (PQexecParams, prepared statements).", Settings.DisablePqExec);
    public static readonly ClientError PacketTooLarge = Rows.Add("packet too large (max_packet_size)", "08P01",
        "One message of the client is longer than allowed.", "Send less at once (COPY for many rows), or raise max_packet_size.", Settings.MaxPacketSize);
    public static readonly ClientError NameTooLong = Rows.Add("name of a prepared statement too long", "08P01",
        "The name of a statement is longer than 8 kB.", "Look at the driver: PostgreSQL's names have 63 bytes.");
    public static readonly ClientError BadMessage = Rows.Add("invalid message from client: type {0}, length {1}", "08P01",
        "The client sent something that is no message of the protocol.", "Look at the driver, or at a proxy between.");
    public static readonly ClientError NotInCopy = Rows.Add("unexpected message type '{0}' during COPY from stdin", "08P01",
        "The client sent a request while the server waits for its COPY data.", "End the COPY first.");

    // The session goes on.
    public static readonly ClientError Canceled = Rows.Add("canceling statement due to user request", "57014",
        "The client has cancelled a request that no server had run yet.", "Nothing: it was not run.", severity: Error);
    public static readonly ClientError PinRefused = Rows.Add("{0} needs a server of its own (pin = refuse)", "0A000",
        "The statement leaves state on its server that other clients must not meet, and pin = refuse lets no client keep a server.", "Use a database with pool_mode = session, or set pin = auto.", Settings.Pin, severity: Error);
    public static readonly ClientError WroteOnReplica = Rows.Add("{0}", "25006",
        "A write came to a replica, which the client keeps for the reason that the hint names. The words are PostgreSQL's.", "DISCARD ALL lets the server go.", shown: "cannot execute … in a read-only transaction", severity: Error);
    public static readonly ClientError MixedBatch = Rows.Add("what is asked of the pooler itself stands in a batch of its own, and not under a name", "0A000",
        "SET pooler.…, SHOW pooler.… or EXPLAIN (POOLER) came together with other statements.", "Send it by itself, as a simple query or without Prepare.", severity: Error);
    public static readonly ClientError TransactionAborted = Rows.Add("current transaction is aborted, commands ignored until end of transaction block", "25P02",
        "As in PostgreSQL, for what is asked of the pooler itself.", "ROLLBACK first.", severity: Error);
    public static readonly ClientError UnknownParameter = Rows.Add("unrecognized configuration parameter \"{0}\"", "42704",
        "No pooler.… has this name.", "There are pooler.route, pooler.lsn and pooler.min_lsn.", severity: Error);
    public static readonly ClientError BadRoute = Rows.Add("invalid value for parameter \"{0}\": \"{1}\"", "22023",
        "pooler.route has no such value.", "Available values: primary, replica, auto.", shown: "invalid value for parameter \"pooler.route\": \"…\"", severity: Error);
    public static readonly ClientError BadPosition = Rows.Add("invalid value for parameter \"{0}\": \"{1}\"", "22023",
        "pooler.min_lsn wants a WAL position.", "A WAL position, as SHOW pooler.lsn tells it: 0/16B3740.", shown: "invalid value for parameter \"pooler.min_lsn\": \"…\"", severity: Error);
    public static readonly ClientError NoBound = Rows.Add("{0} is not kept: read_after_write is off", "55000",
        "Positions are kept only for clients whose reads see their own writes.", "Set read_after_write = session or user for the database.", Settings.ReadAfterWrite, severity: Error);
    public static readonly ClientError ReadOnlyParameter = Rows.Add("parameter \"{0}\" cannot be changed", "55P02",
        "pooler.lsn tells, it is not set.", "SET pooler.min_lsn is what reads wait for.", severity: Error);
    public static readonly ClientError NoPosition = Rows.Add("no primary has told where its WAL is, for longer than failover_hold_time", "57P03",
        "SHOW pooler.lsn asks the primary, and there was none.", "SHOW HOSTS on the console tells what each host is.", Settings.FailoverHoldTime, severity: Error);
    public static readonly ClientError Queued = Rows.Add("No server connection available in postgres backend, client being queued", "00000",
        "A notice: the client has waited for query_wait_notify, and goes on waiting.", "See what holds the servers (SHOW POOLS, SHOW SERVERS).", Settings.QueryWaitNotify, severity: "NOTICE");
}
