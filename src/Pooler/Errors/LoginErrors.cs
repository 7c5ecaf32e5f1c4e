using Pooler.Config;

namespace Pooler.Errors;

/// <summary>What clients are told while they log in. Who has not proved who he is learns nothing of users, databases and limits.</summary>
internal static class LoginErrors
{
    public static readonly ErrorRows Rows = new("While a client logs in", "FATAL");

    // To strangers.
    public static readonly ClientError TooManyClients = Stranger("no more connections allowed (max_client_conn)", "08P01",
        "As many clients are connected as may be.", "Look with SHOW CLIENTS who they are; raise max_client_conn, or have the applications hold fewer connections.", Settings.MaxClientConn);
    public static readonly ClientError Stopping = Stranger("pooler is shutting down", "57P01",
        "The process is being ended (SHUTDOWN, SIGTERM).", "Connect again: to the process that takes its place, or once it is up.");
    public static readonly ClientError LoginTimeout = Stranger("client_login_timeout", "08P01",
        "The client did not finish its login in time: it was silent, or its answers are slow.", "Look at the network and at whoever connects; raise client_login_timeout where logins take long (LDAP, PAM).", Settings.ClientLoginTimeout);
    public static readonly ClientError WrongPassword = Stranger("password authentication failed", "28P01",
        "The password is wrong, or nobody knows the user. The log says which.", "Compare auth_file (or what auth_query answers) with the client's password; RELOAD after a change.", Settings.AuthFile);
    public static readonly ClientError SaslFailed = Stranger("SASL authentication failed", "28P01",
        "The same with scram-sha-256: the password is wrong, or nobody knows the user. The log says which.", "As above. A client without SCRAM (libpq before 10) needs auth_type = md5.", Settings.AuthFile);
    public static readonly ClientError UnknownUser = Stranger("\"trust\" authentication failed", "08P01",
        "auth_type = trust asks for no password, but the user must be known.", "Put the user into auth_file, or set auth_query.", Settings.AuthFile);
    public static readonly ClientError Rejected = Stranger("login rejected", "28000",
        "No line of auth_hba_file lets this client in, or its line is reject. The log says which line.", "Add a line for its address, database and user above the one that rejects it; RELOAD.", Settings.AuthHbaFile);
    public static readonly ClientError WrongCertificate = Stranger("certificate authentication failed", "28P01",
        "The client showed no certificate of an authority in client_tls_ca_file, or one that names somebody else. The log says which.", "Give it a certificate whose common name is the user's (or what clientname= and map= ask for).", Settings.ClientTlsCaFile);
    public static readonly ClientError BadCertificate = Stranger("{0}", "28000",
        "The client's certificate is not good: expired, revoked, of another authority.", "Give it a new one; see client_tls_ca_file and the reason in the message.", Settings.ClientTlsCaFile, "(what is wrong with the client's certificate)");
    public static readonly ClientError OAuthFailed = Stranger("OAuth bearer authentication failed", "28000",
        "The token is not taken, or is another user's. The log says why.", "See oauth_issuer, oauth_audience, oauth_scope and the line's map.", Settings.OAuthIssuer);
    public static readonly ClientError OAuthInClear = Stranger("OAuth bearer authentication needs TLS, or a connection on the pooler's own machine", "28000",
        "Who reads a token on its way can use it.", "Connect with sslmode=require or better; set client_tls_sslmode.", Settings.ClientTlsSslMode);
    public static readonly ClientError LdapFailed = Stranger("LDAP authentication failed", "28000",
        "The directory did not take the password, or could not be asked. The log has its words.", "See auth_ldap_options or the line's ldap… options, and whether its servers answer.", Settings.AuthLdapOptions);
    public static readonly ClientError PamFailed = Stranger("PAM authentication failed", "28000",
        "PAM did not take the password. The log has its words.", "See /etc/pam.d of the service (pam_service, pamservice=).", Settings.PamService);
    public static readonly ClientError AuthQueryFailed = Stranger("auth_query failed: the user cannot be looked up", "08006",
        "The server that auth_query asks could not be reached, or refused the query. The log has its words.", "See auth_user, auth_dbname and auth_query, and whether that server takes auth_user's login.", Settings.AuthQuery);
    public static readonly ClientError BadAuthType = Stranger("auth_type {0} is not supported", "28P01",
        "A SET has chosen a way of logging in that is not there.", "Choose another auth_type; RELOAD brings back that of the file.", Settings.AuthType);
    public static readonly ClientError TlsRequired = Stranger("SSL required", "08P01",
        "Clients must come by TLS, and this one did not.", "Connect with sslmode=require or better, or set client_tls_sslmode = prefer.", Settings.ClientTlsSslMode);
    public static readonly ClientError TlsFailed = Stranger("TLS handshake failed: {0}", "08P01",
        "In the log only, for a client in a handshake reads no errors: no common version or cipher, a certificate it does not trust, not TLS at all.", "Compare client_tls_protocols, client_tls_ciphers and client_tls_cert_file with what the client allows.", Settings.ClientTlsCertFile);
    public static readonly ClientError NoAlpn = Stranger("received direct SSL connection request without ALPN protocol negotiation extension", "08P01",
        "A client that begins with TLS at once must say that it means PostgreSQL.", "Use a driver that knows sslnegotiation=direct; a TLS proxy between must pass ALPN on.");
    public static readonly ClientError Unencrypted = Stranger("received unencrypted data after SSL request", "08P01",
        "Bytes came between the request for TLS and the handshake: somebody may have put them there.", "Look for a proxy between client and pooler that does not know the protocol.");
    public static readonly ClientError NoProxyHeader = Stranger("PROXY protocol header expected (proxy_protocol_networks)", "08P01",
        "The address is a proxy's by proxy_protocol_networks, and it sent no header.", "Switch the PROXY protocol on in the proxy, or take its address out of the setting.", Settings.ProxyProtocolNetworks);
    public static readonly ClientError BadLength = Stranger("invalid length of startup packet", "08P01",
        "What came first is no startup packet: it is longer than 10,000 bytes, or no PostgreSQL client sent it.", "Look at what connects to this port: health checks that speak HTTP belong elsewhere.");
    public static readonly ClientError BadStartup = Stranger("{0}", "08P01",
        "The startup packet is none, is of a protocol other than 3, or names no user.", "Use a client for PostgreSQL 7.4 or later.", shown: "(what is wrong with the startup packet)");
    public static readonly ClientError UnexpectedMessage = Stranger("unexpected message during login", "08P01",
        "Something else than the password came, or a password of more than 10,000 bytes.", "Look at the driver: it does not follow the protocol.");
    public static readonly ClientError SaidGoodbye = Stranger("client close request", "08P01",
        "The client gave up its login.", "Nothing; psql does so to ask for the password.");
    public static readonly ClientError Replication = Stranger("replication connections are not supported", "0A000",
        "The client wants to replicate.", "Connect to the server itself.");
    public static readonly ClientError BadParameter = Stranger("{0}", "08P01",
        "The client's startup packet asks for a setting that it may not have here.", "Put the name into ignore_startup_parameters, or set startup_parameters = follow.", Settings.IgnoreStartupParameters,
        "unsupported startup parameter: …, unsupported startup parameter in options: …, unrecognized configuration parameter \"…\"");

    // To those who have proved who they are.
    public static readonly ClientError NotAllowed = Rows.Add("not allowed", "08P01",
        "The user may not use the console.", "Put the user into admin_users or stats_users.", Settings.AdminUsers);
    public static readonly ClientError NoDatabase = Rows.Add("no such database: {0}", "3D000",
        "No entry of [databases] has this name, and there is no entry *.", "Correct the client's dbname, or add the entry and RELOAD.");
    public static readonly ClientError Disabled = Rows.Add("database \"{0}\" is disabled", "08P01",
        "DISABLE was given on the console.", "ENABLE it on the console.");
    public static readonly ClientError AnyNeedsUser = Rows.Add("bouncer config error (auth_type = any needs user= in the database entry)", "08P01",
        "With auth_type = any nobody has proved who he is, so that nobody chooses whom servers see.", "Set user= in the entry, or another auth_type.", Settings.AuthType);
    public static readonly ClientError TooManyOf = Rows.Add("client connections exceeded ({0})", "08P01",
        "As many clients of this database (max_db_client_connections), or of this user (max_user_client_connections), are connected as may be.",
        "Look with SHOW CLIENTS who they are; raise the limit, or have the application hold fewer connections.", shown: "client connections exceeded (max_db_client_connections), client connections exceeded (max_user_client_connections)");
    public static readonly ClientError BadRoute = Rows.Add("invalid value for parameter \"{0}\"; use primary, replica or auto", "22023",
        "The client's startup packet has another pooler.route.", "Correct it in the client's options.");
    public static readonly ClientError ServerDown = Rows.Add("client_login_timeout (server down)", "08P01",
        "No server of the client's pool could be logged in to within client_login_timeout, or all of them were busy.", "See what the detail says of the server and mend that; SHOW POOLS, SHOW SERVERS and the log tell more.", Settings.ClientLoginTimeout);
    public static readonly ClientError Internal = Rows.Add("internal error", "XX000",
        "A defect of Pooler: the log has a line \"defect, please report\".", "Report it with that line.");

    private static ClientError Stranger(string message, string sqlState, string meaning, string advice, Setting? setting = null, string? shown = null) =>
        Rows.Add(message, sqlState, meaning, advice, setting, shown, stranger: true);
}
