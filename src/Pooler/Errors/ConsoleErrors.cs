using Pooler.Config;

namespace Pooler.Errors;

/// <summary>What the console answers, in PgBouncer's words where it has some. The session goes on unless the row is FATAL.</summary>
internal static class ConsoleErrors
{
    private const string Fatal = "FATAL", DriverAdvice = "Look at the driver: it does not follow the protocol.";

    public static readonly ErrorRows Rows = new("On the console", "ERROR");

    public static readonly ClientError Invalid = Rows.Add("invalid command '{0}', use SHOW HELP;", "08P01", "There is no such command, or it stands without what belongs to it.", "SHOW HELP lists the commands.");
    public static readonly ClientError BadArguments = Rows.Add("bad arguments", "08P01", "An argument is too long.", "SHOW HELP lists the commands.");
    public static readonly ClientError AdminNeeded = Rows.Add("admin access needed", "08P01", "stats_users may look, not change.", "Log in as one of admin_users.", Settings.AdminUsers);
    public static readonly ClientError AlreadyPaused = Rows.Add("already suspended/paused", "08P01", "PAUSE, SUSPEND or KILL was given before.", "RESUME first; SHOW STATE and SHOW DATABASES tell what is paused.");
    public static readonly ClientError PausedDatabases = Rows.Add("cannot suspend with paused databases", "08P01", "A database is paused by itself.", "RESUME it first; SHOW DATABASES tells which.");
    public static readonly ClientError NotPaused = Rows.Add("pooler is not paused/suspended", "08P01", "There is nothing to resume.", "A database that was paused by itself is resumed by its name.");
    public static readonly ClientError DatabaseNotPaused = Rows.Add("database {0} is not paused", "08P01", "There is nothing to resume.", "RESUME without a name ends a pause of all databases.");
    public static readonly ClientError NoDatabase = Rows.Add("no such database: {0}", "08P01", "No entry of [databases] has this name.", "SHOW DATABASES lists them.");
    public static readonly ClientError OwnDatabase = Rows.Add("cannot {0} admin db: {1}", "08P01", "The console is no database.", "Name an entry of [databases].");
    public static readonly ClientError DatabaseRequired = Rows.Add("a database is required", "08P01", "DISABLE and ENABLE are for one database.", "Name an entry of [databases].");
    public static readonly ClientError Stopping = Rows.Add("pooler is shutting down", "08P01", "The pause belongs to a SHUTDOWN.", "It cannot be taken back.");
    public static readonly ClientError AlreadyStopping = Rows.Add("already shutting down", "08P01", "Clients were told to leave by then.", "SHUTDOWN ends it at once.");
    public static readonly ClientError Canceled = Rows.Add("canceling statement due to user request", "57014", "Ctrl-C: the command gave up, and what it had begun was taken back.", "Give it again.");
    public static readonly ClientError Resumed = Rows.Add("RESUME ended the pause before all servers were closed", "57014", "Another console has resumed.", "Give PAUSE again.");
    public static readonly ClientError ResumedSuspend = Rows.Add("RESUME ended the suspension before all servers were free", "57014", "Another console has resumed.", "Give SUSPEND again.");
    public static readonly ClientError SuspendTimeout = Rows.Add("clients held servers for longer than suspend_timeout: resumed", "57014", "Transactions did not end in time.", "See who holds servers (SHOW SERVERS), or raise suspend_timeout.", Settings.SuspendTimeout);
    public static readonly ClientError ReloadFailed = Rows.Add("RELOAD failed, see logs for additional details", "F0000", "The configuration has errors; the one before stays in force.", "Mend what the log names, each with its line.");
    public static readonly ClientError SetFailed = Rows.Add("SET failed", "08P01", "No such setting, or a value that is not valid. The log says why.", "SHOW CONFIG lists the settings.");
    public static readonly ClientError BadClient = Rows.Add("invalid client pointer supplied", "08P01", "KILL_CLIENT wants a number.", "It is the column id of SHOW CLIENTS.");
    public static readonly ClientError NoClient = Rows.Add("client not found", "08P01", "No client has this id.", "It is the column id of SHOW CLIENTS.");
    public static readonly ClientError NoDescriptors = Rows.Add(
        "SHOW FDS is not supported: no other process takes over our sockets; to restart without a gap let two processes listen on one port (so_reuseport)", "0A000",
        "As the message says.", "Set so_reuseport = 1 and start the next process beside this one.", Settings.SoReusePort);
    public static readonly ClientError NoRouting = Rows.Add("no database with routing: {0}", "3D000", "SWITCHOVER is for entries with routing.", "SHOW HOSTS lists them.");
    public static readonly ClientError NoRoutedEntry = Rows.Add("no database entry {0} with routing", "3D000", "SHOW ROUTE is for entries with routing.", "SHOW HOSTS lists them.");
    public static readonly ClientError WhichDatabase = Rows.Add("{0} database entries have routing: SHOW ROUTE database 'statement'", "3D000", "The database may be left out only where one entry has routing.", "Name it.");
    public static readonly ClientError WhichHost = Rows.Add("SWITCHOVER {0} TO <host>[:<port>]: the hosts are {1}", "22023", "The host is not one of the entry's, or the name stands for several.", "Name it as the message does, with its port.");
    public static readonly ClientError CannotSwitch = Rows.Add("{0}", "55000", "SWITCHOVER was refused or has failed; the primary is the one before.", "SHOW HOSTS tells what each host is; docs/failover.md has the steps.", shown: "(why SWITCHOVER was refused or failed)");
    public static readonly ClientError SwitchCanceled = Rows.Add("{0}", "57014", "Ctrl-C during SWITCHOVER; the primary is the one before.", "Give it again.", shown: "(what SWITCHOVER was at)");
    public static readonly ClientError Switching = Rows.Add("a switchover is under way already", "55006", "One at a time.", "Wait for it; SHOW HOSTS tells what each host is.");
    public static readonly ClientError WhichQueries = Rows.Add("use LOG QUERIES CLIENT <client_id>, USER <user> or DATABASE <db>, FOR 1 to {0} seconds, or LOG QUERIES OFF", "22023", "LOG QUERIES was not told whose queries to log.", "Give it again as the message says; SHOW CLIENTS has the ids.");

    // The protocol's.
    public static readonly ClientError NoParameters = Rows.Add("commands of the console take no parameters: write the value into the command", "0A000", "Parse or Bind came with parameters.", "Do what the message says.");
    public static readonly ClientError StatementExists = Rows.Add("prepared statement \"{0}\" already exists", "42P05", "As in PostgreSQL.", "Close it first.");
    public static readonly ClientError NoStatement = Rows.Add("prepared statement \"{0}\" does not exist", "26000", "As in PostgreSQL.", "Parse it first.");
    public static readonly ClientError NoUnnamedStatement = Rows.Add("unnamed prepared statement does not exist", "26000", "As in PostgreSQL.", "Parse it first.");
    public static readonly ClientError PortalExists = Rows.Add("cursor \"{0}\" already exists", "42P03", "As in PostgreSQL.", "Close it first.");
    public static readonly ClientError NoPortal = Rows.Add("portal \"{0}\" does not exist", "34000", "As in PostgreSQL.", "Bind it first.");
    public static readonly ClientError PortalHasRun = Rows.Add("portal \"{0}\" cannot be run anymore", "55000", "Commands are not run twice.", "Bind it anew.");
    public static readonly ClientError TooManyStatements = Rows.Add("more than {0} prepared statements on one connection to the console: close some", "54000", "Their number is bounded.", "Close some.");
    public static readonly ClientError TooManyPortals = Rows.Add("more than {0} portals on one connection to the console: close some", "54000", "Their number is bounded.", "Close some.");
    public static readonly ClientError WrongCount = Rows.Add("bind message supplies {0} parameters, but prepared statement \"{1}\" requires 0", "08P01", "Commands have no parameters.", DriverAdvice);
    public static readonly ClientError BadFormat = Rows.Add("unsupported format code: {0}", "22023", "There are 0 (text) and 1 (binary).", DriverAdvice);
    public static readonly ClientError WrongFormats = Rows.Add("bind message has {0} result formats but query has {1} columns", "08P01", "One format for all columns, or one each.", DriverAdvice);
    public static readonly ClientError BadSubtype = Rows.Add("invalid message subtype {0}", "08P01", "Describe and Close name a statement (S) or a portal (P).", DriverAdvice);
    public static readonly ClientError BadMessage = Rows.Add("invalid message format", "08P01", "A message ends too early or too late.", DriverAdvice);
    public static readonly ClientError BadType = Rows.Add("unsupported packet type for admin console: {0}", "08P01", "The console knows queries, simple and extended.", DriverAdvice);
    public static readonly ClientError BadPacket = Rows.Add("bad packet", "08P01", "What follows the one above.", DriverAdvice, severity: Fatal);
    public static readonly ClientError IncompleteQuery = Rows.Add("incomplete query", "08P01", "A Query does not end with a zero.", DriverAdvice, severity: Fatal);
    public static readonly ClientError TooLong = Rows.Add("invalid or too long message for admin console", "08P01", "Commands have 16 kB at most.", "Send a shorter one.", severity: Fatal);
    public static readonly ClientError Ignored = Rows.Add("SET ignored", "00000", "A notice: drivers set it at login, and the console has no use for it.", "Nothing.", severity: "NOTICE");
}
