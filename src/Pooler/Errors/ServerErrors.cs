using Pooler.Config;

namespace Pooler.Errors;

/// <summary>What becomes of a client when something is wrong with a server. The detail names it.</summary>
internal static class ServerErrors
{
    public static readonly ErrorRows Rows = new("Servers", "FATAL");

    public static readonly ClientError LoginFailing = Rows.Add("server login has been failing, cached error: {0} (server_login_retry)", "08006",
        "The last login to a server has failed, and the next try is not due yet. Words and SQLSTATE are those of that failure.", "Mend what the message says; server_login_retry is the time between two tries.", Settings.ServerLoginRetry);
    public static readonly ClientError ConnectFailed = Rows.Add("server connect failed: {0}: {1}", "08001",
        "No connection to the server: nothing listens there, or something between refuses it.", "See host= and port= of the database entry, and whether PostgreSQL is up and listens there (listen_addresses).");
    public static readonly ClientError EncryptionFailed = Rows.Add("server connect failed: {0}: {1}", "08006",
        "The server was reached, but TLS did not come about as server_tls_sslmode asks.", "See server_tls_sslmode, server_tls_ca_file and the server's ssl and certificate.", Settings.ServerTlsSslMode, "server connect failed: …: (TLS)");
    public static readonly ClientError LookupFailed = Rows.Add("server DNS lookup failed: {0}: {1}", "08001",
        "The name in host= has no address.", "See host= of the database entry and the machine's resolver; SHOW DNS_HOSTS tells what is known.");
    public static readonly ClientError ConnectTimeout = Rows.Add("connect timeout", "08001",
        "Connecting and logging in to the server took longer than server_connect_timeout. The detail says how far it had come.", "See whether the server, or a firewall before it, swallows connections; raise server_connect_timeout where logins take long.", Settings.ServerConnectTimeout);
    public static readonly ClientError PasswordCommandTimeout = Rows.Add("password_command has not answered within server_connect_timeout", "28000",
        "The program that prints the password hangs.", "Run it by hand as the pooler's user; raise server_connect_timeout where it takes long.", Settings.ServerConnectTimeout);
    public static readonly ClientError PasswordCommandFailed = Rows.Add("{0}", "28000",
        "The program that prints the password has failed.", "Run it by hand as the pooler's user.", Settings.PasswordCommand, "password_command … (why it failed)");
    public static readonly ClientError Crashed = Rows.Add("server conn crashed?", "08006",
        "The server has closed the connection without a word: it was killed, or something between has cut it.", "See PostgreSQL's log at that time, and timeouts of what stands between (NAT, proxies): server_idle_timeout should be shorter, tcp_keepalive on.");
    public static readonly ClientError NoWayToLogIn = Rows.Add("cannot do {0} authentication to the server as user \"{1}\": {2}", "28000",
        "What the pooler knows of the user does not open the server.", "Do what the message says, or set user= and password= in the database entry.", Settings.AuthFile);
    public static readonly ClientError OtherSecret = Rows.Add("the server has another SCRAM secret for user \"{0}\" than auth_file: copy its rolpassword from pg_authid and RELOAD, or store the plain password", "28000",
        "A SCRAM secret in auth_file must be the server's very own.", "Do what the message says.", Settings.AuthFile);
    public static readonly ClientError TooManyIterations = Rows.Add("the server's SCRAM secret for user \"{0}\" has {1} iterations, more than {2}: set its password anew with a lower scram_iterations", "08P01",
        "Computing so many would hold a processor for long.", "Do what the message says.");
    public static readonly ClientError NotProved = Rows.Add("server accepted the login without proving that it knows the password", "28000",
        "It may be somebody else who answers there.", "See that host= is the right server, and use server_tls_sslmode = verify-full.", Settings.ServerTlsSslMode);
    public static readonly ClientError BadScram = Rows.Add("SASL: {0}", "08P01",
        "The server does not keep to SCRAM.", "See that a PostgreSQL answers there; its log may say more.");
    public static readonly ClientError WrongProof = Rows.Add("SASL: {0}", "28000",
        "The server's proof is wrong: it does not know the password.", "See that host= is the right server.", shown: "SASL: incorrect server signature");
    public static readonly ClientError Violation = Rows.Add("{0}", "08P01",
        "The server sent what no PostgreSQL sends at this point. It is closed, never guessed at.", "See what answers at host= and port=; if it is PostgreSQL, report it with the message.",
        shown: "protocol violation: …, malformed … from server, unexpected message … from server");
    public static readonly ClientError HostDown = Rows.Add("host is down: {0}", "08006",
        "The probes of the host (routing) are not answered any more.", "Connect again: it goes to another host. SHOW HOSTS tells what each host is.", Settings.HealthCheckTimeout);
    public static readonly ClientError Demoted = Rows.Add("host is no longer the primary: another was promoted", "08006",
        "Another host is the primary now; nothing may be written to the old one.", "Connect again: it goes to the new primary.");
    public static readonly ClientError Subscriber = Rows.Add("host is a logical subscriber: it is only read from", "08006",
        "The host gets its data by logical replication, and its servers could be written to.", "Connect again.");
    public static readonly ClientError CannotBeUsed = Rows.Add("{0}", "08006",
        "The server could not be brought back to a known state, or was to be replaced (age, RECONNECT, RELOAD).", "Connect again.", shown: "(why a server was closed)");
    public static readonly ClientError Internal = Rows.Add("internal error", "XX000",
        "A defect of Pooler: the log has a line \"defect, please report\".", "Report it with that line.");
}
