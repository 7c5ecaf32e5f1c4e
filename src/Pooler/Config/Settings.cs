using System.Collections.Frozen;
using System.Collections.Immutable;
using Pooler.Telemetry;
using static Pooler.Config.SettingScope;
using static Pooler.Config.Support;
using static Pooler.Config.ValueKinds;
using static Pooler.Config.WhenChanged;

namespace Pooler.Config;

/// <summary>
/// The one table of settings. It drives the file, the environment, SHOW CONFIG, SET, RELOAD and docs/settings.md. Names, defaults
/// and order (SHOW CONFIG prints it) are PgBouncer 1.25.2's (src/main.c, src/loader.c); rows of our own say so. The sentence of a row
/// is its documentation; times are seconds unless it says otherwise.
/// </summary>
internal static class Settings
{
    private const string AuthQueryDefault = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END "
        + "FROM pg_authid WHERE rolname=$1 AND rolcanlogin";

    // A row joins the list where it is declared, so the list cannot forget one. It must stand before the first row.
    private static readonly List<Setting> Rows = [];

    // [pgbouncer]; some of these may also be written for one database or one user.
    public static readonly Setting<ImmutableArray<string>> AdminUsers = Row("admin_users", NameList, "", Global,
        "Users who may do everything on the console.");
    public static readonly Setting<bool> ApplicationNameAddHost = Row("application_name_add_host", Switch, "0", Global,
        "Appends the client's address to application_name at login (\"app - 10.0.0.1:5000\").");
    public static readonly Setting<string?> AuthDbName = Row("auth_dbname", OptionalText, null, Global | Database,
        "Entry of [databases] in whose database auth_query runs; left out = the one the client asks for.");
    public static readonly Setting<string?> AuthFile = Row("auth_file", OptionalText, null, Global,
        "File of users and their secrets; a relative path starts at the working directory.");
    public static readonly Setting<string> AuthHbaFile = Row("auth_hba_file", Text, "", Global,
        "Rules for auth_type = hba; a relative path starts at the working directory.");
    public static readonly Setting<string?> AuthIdentFile = Row("auth_ident_file", OptionalText, null, Global,
        "User name maps for the method peer of auth_type = hba.");
    public static readonly Setting<LdapOptions?> AuthLdapOptions = Row("auth_ldap_options", LdapOptionList, null, Global,
        "Where and how auth_type = ldap checks passwords: PostgreSQL's options for ldap (docs/security.md). Never shown: ldapbindpasswd is among them.", secret: true);
    public static readonly Setting<string> AuthQuery = Row("auth_query", Text, AuthQueryDefault, Global | Database,
        "Query that fetches the secret of a user who is not in auth_file; its only parameter is the user, it returns one row of two columns, name and secret.");
    public static readonly Setting<TimeSpan> AuthQueryCacheTime = Row("auth_query_cache_time", Seconds, "5", Global,
        "Ours: how long an answer of auth_query is used for further logins of the user; a login that fails ends it at once; 0 = not at all.");
    public static readonly Setting<AuthType> AuthType = Row("auth_type", AuthTypeWord, "md5", Global,
        "How clients prove who they are.");
    public static readonly Setting<string?> AuthUser = Row("auth_user", OptionalText, null, Global | Database,
        "Role that runs auth_query, with its secret in auth_file; left out = users who are not in auth_file cannot log in.");
    public static readonly Setting<TimeSpan> AutoDbIdleTimeout = Row("autodb_idle_timeout", Seconds, "3600", Global,
        "A database made from the entry * is forgotten, with its figures, when it has had no client and no server for that long; 0 = never.");
    public static readonly Setting<TimeSpan> CancelWaitTimeout = Row("cancel_wait_timeout", Seconds, "10", Global,
        "Longest time for passing a cancel request on to the server; 0 = server_connect_timeout. A server it was not confirmed by is closed.");
    public static readonly Setting<TimeSpan> CatalogueRefreshInterval = Row("catalogue_refresh_interval", Seconds, "60", Global | Database,
        "Ours: for routing = read_write_split, pause between two looks at the database's functions, views and operators; CREATE, ALTER and DROP through here lead to one at once.");
    public static readonly Setting<TimeSpan> ClientIdleTimeout = Row("client_idle_timeout", Seconds, "0", Global | User,
        "Closes a client that is idle that long; 0 = never.");
    public static readonly Setting<TimeSpan> ClientLoginTimeout = Row("client_login_timeout", Seconds, "60", Global,
        "Closes a client that has not logged in by then; 0 = never.");
    public static readonly Setting<TlsCiphers?> ClientTls13Ciphers = Row("client_tls13_ciphers", OptionalTls13Ciphers, null, Global,
        "TLS 1.3 cipher suites taken from clients, separated by colons; left out = the platform's.");
    public static readonly Setting<string> ClientTlsCaFile = Row("client_tls_ca_file", Text, "", Global,
        "Authorities that sign clients' certificates (PEM); with it a certificate is asked for, and refused if it is not theirs.");
    public static readonly Setting<string> ClientTlsCertFile = Row("client_tls_cert_file", Text, "", Global,
        "Certificate shown to clients (PEM), with those between it and its authority behind it; read again by RELOAD.");
    public static readonly Setting<TlsCiphers> ClientTlsCiphers = Row("client_tls_ciphers", TlsCipherList, "default", Global,
        "Cipher suites up to TLS 1.2 taken from clients, in OpenSSL's names, separated by colons; default = the platform's.");
    public static readonly Setting<string> ClientTlsDheParams = Row("client_tls_dheparams", Text, "auto", Global,
        "DHE key exchange with clients.", support: NoMeaning);
    public static readonly Setting<string> ClientTlsEcdhCurve = Row("client_tls_ecdhcurve", Text, "auto", Global,
        "ECDH curve with clients.", support: NoMeaning);
    public static readonly Setting<string> ClientTlsKeyFile = Row("client_tls_key_file", Text, "", Global,
        "Key of client_tls_cert_file (PEM, without a password).");
    public static readonly Setting<TlsVersions> ClientTlsProtocols = Row("client_tls_protocols", TlsVersionList, "secure", Global,
        "TLS versions taken from clients: tlsv1.0 to tlsv1.3, all, secure (1.2 and 1.3).");
    public static readonly Setting<SslMode> ClientTlsSslMode = Row("client_tls_sslmode", SslModeWord, "disable", Global,
        "TLS with clients: disable, allow and prefer (who wants it gets it), require, verify-ca and verify-full (with a certificate of client_tls_ca_file).");
    public static readonly Setting<TimeSpan> ClientWriteTimeout = Row("client_write_timeout", Seconds, "0", Global,
        "Ours: closes a client that holds a server and takes no data that long; 0 = never.");
    public static readonly Setting<string?> ClusterStateFile = Row("cluster_state_file", OptionalText, null, Global,
        "Ours: file that keeps each cluster's system identifier and highest timeline, so that after a restart a primary that was replaced is not followed; left out = beside the configuration file, with .state behind its name; empty = none.", AtRestart);
    public static readonly Setting<string?> ConfFile = Row("conffile", OptionalText, null, Global,
        "The file the next RELOAD reads.");
    public static readonly Setting<int> DefaultPoolSize = Row("default_pool_size", Count, "20", Global,
        "Most servers per user and database; 0 = no limit.");
    public static readonly Setting<bool> DisablePqExec = Row("disable_pqexec", Switch, "0", Global,
        "Refuses the simple query protocol.", AtRestart);
    public static readonly Setting<TimeSpan> DnsKeepTime = Row("dns_keep_time", Seconds, "300", Global,
        "Ours: while a name cannot be looked up its last addresses are used for that long after they were found; 0 = a failed lookup fails the connect, as in PgBouncer.");
    public static readonly Setting<TimeSpan> DnsLookupTimeout = Row("dns_lookup_timeout", Seconds, "5", Global,
        "Ours: a lookup that takes longer has failed; 0 = only server_connect_timeout bounds the wait.");
    public static readonly Setting<TimeSpan> DnsMaxTtl = Row("dns_max_ttl", Seconds, "15", Global,
        "How long the addresses of a name are kept; names of hosts with servers are looked up again by then.");
    public static readonly Setting<TimeSpan> DnsNxDomainTtl = Row("dns_nxdomain_ttl", Seconds, "15", Global,
        "How long a failed lookup is kept.");
    public static readonly Setting<TimeSpan> DnsZoneCheckPeriod = Row("dns_zone_check_period", Seconds, "0", Global,
        "Accepted without effect: the serials of DNS zones are not looked at; names in use are looked up each dns_max_ttl.", support: NoMeaning);
    public static readonly Setting<TimeSpan> FailoverHoldTime = Row("failover_hold_time", Seconds, "30", Global | Database,
        "Ours: work of an entry with routing that no host may take waits so long, then fails with 57P03; 0 = it fails at once.");
    public static readonly Setting<TimeSpan> HealthCheckInterval = Row("health_check_interval", Seconds, "2", Global | Database,
        "Ours: pause between two probes of a host of an entry with routing.");
    public static readonly Setting<TimeSpan> HealthCheckTimeout = Row("health_check_timeout", Seconds, "3", Global | Database,
        "Ours: a host whose probe takes longer, connect included, is down.");
    public static readonly Setting<TimeSpan> IdleTransactionTimeout = Row("idle_transaction_timeout", Seconds, "0", Global | User,
        "Closes a client idle in a transaction that long; 0 = never.");
    public static readonly Setting<ImmutableArray<string>> HttpListenAddr = Row("http_listen_addr", NameList, "127.0.0.1", Global,
        "Ours: addresses of the HTTP listener for metrics and health; * = all; whoever reaches it may read, without a password.");
    public static readonly Setting<int> HttpListenPort = Row("http_listen_port", PortOrNone, "9127", Global,
        "Ours: its port; that it is taken is a warning, and tried again; 0 = no HTTP.");
    public static readonly Setting<bool> HttpPage = Row("http_page", Switch, "1", Global,
        "Ours: there is a live page at / of that listener (docs/page.md).");
    public static readonly Setting<ImmutableArray<string>> IgnoreStartupParameters = Row("ignore_startup_parameters", NameList, "", Global,
        "Startup parameters that are swallowed instead of followed; options = those in options that servers do not report.");
    public static readonly Setting<IoEngine> IoEngine = Row("io_engine", IoEngineWord, "auto", Global,
        "Ours: system interface of the I/O threads: epoll, io_uring, or auto: io_uring where kernel and sandbox allow it (docs/engines.md).", AtRestart);
    public static readonly Setting<string> JobName = Row("job_name", Text, "pgbouncer", Global,
        "Name of the Windows service: there is none here.", AtRestart, NoMeaning, alias: "service_name");
    public static readonly Setting<TimeSpan> LdapTimeout = Row("ldap_timeout", Seconds, "3", Global,
        "Ours: longest time for all that a login asks of one LDAP server; then the next server of the list is asked; 0 = client_login_timeout.");
    public static readonly Setting<ImmutableArray<string>> ListenAddr = Row("listen_addr", NameList, "", Global,
        "Addresses to listen on; * = all; empty = Unix socket only.", AtRestart);
    public static readonly Setting<int> ListenBacklog = Row("listen_backlog", Count, "128", Global,
        "Backlog argument of listen(2).", AtRestart);
    public static readonly Setting<int> ListenPort = Row("listen_port", PortNumber, "6432", Global,
        "TCP port, and the number in the name of the Unix socket.", AtRestart);
    public static readonly Setting<LoadBalanceRule> LoadBalance = Row("load_balance", LoadBalanceRuleWord, "least_busy", Global | Database,
        "Ours: with routing, which of several hosts that may serve a request does (docs/routing.md).");
    public static readonly Setting<bool> LogConnections = Row("log_connections", Switch, "1", Global,
        "Logs every login.");
    public static readonly Setting<bool> LogDisconnections = Row("log_disconnections", Switch, "1", Global,
        "Logs every disconnect with its reason.");
    public static readonly Setting<int> LogMinDurationStatement = Row("log_min_duration_statement", MillisecondsOrOff, "-1", Global,
        "Ours, PostgreSQL's name and meaning: logs statements that take at least so many milliseconds, their wait for a server included, without their values; 0 = all, -1 = none (docs/statements.md).");
    public static readonly Setting<bool> LogPoolerErrors = Row("log_pooler_errors", Switch, "1", Global,
        "Logs the errors sent to clients.");
    public static readonly Setting<int> LogStatementLimit = Row("log_statement_limit", Count, "100", Global,
        "Ours: most lines a second that log_min_duration_statement and LOG QUERIES write; how many were left out is said; 0 = no limit.");
    public static readonly Setting<bool> LogStats = Row("log_stats", Switch, "1", Global,
        "Logs the figures of each stats_period.");
    public static readonly Setting<string> LogFile = Row("logfile", Text, "", Global,
        "File the log goes to, besides standard error; opened anew by each RELOAD.");
    public static readonly Setting<LogFormat> LogFormat = Row("log_format", LogFormatWord, "text", Global,
        "Ours: text = PgBouncer's lines; json = an object a line, with the keys of PostgreSQL's jsonlog and the values of each message.");
    public static readonly Setting<TimeSpan> LoginFailureDelay = Row("login_failure_delay", Seconds, "5", Global,
        "Ours: longest time a verdict is kept back (login_failure_limit); at most half of client_login_timeout.");
    public static readonly Setting<int> LoginFailureLimit = Row("login_failure_limit", Count, "10", Global,
        "Ours: behind more failed logins of an address (of IPv6: its /64) or a user in login_failure_window the verdict of each further one, good or bad, is kept back, ever longer; nobody is refused (docs/security.md); 0 = off.");
    public static readonly Setting<TimeSpan> LoginFailureWindow = Row("login_failure_window", Seconds, "60", Global,
        "Ours: how long a failed login counts.");
    public static readonly Setting<string> LoginNotifyMessage = Row("login_notify_message", Text, "", Global,
        "NOTICE sent to each client at its login; empty = none.");
    public static readonly Setting<int> LoginWorkLimit = Row("login_work_limit", Count, "0", Global,
        "Ours: for how many logins passwords (PBKDF2) and TLS handshakes are computed at once; the others wait for their turn, those of the console have a place more; 0 = one for each two processors.");
    public static readonly Setting<int> MaxClientConn = Row("max_client_conn", Count, "100", Global,
        "Most clients; the console is exempt.");
    public static readonly Setting<int> MaxDbClientConnections = Row("max_db_client_connections", Count, "0", Global | Database,
        "Most clients per database; 0 = no limit.");
    public static readonly Setting<int> MaxDbConnections = Row("max_db_connections", Count, "0", Global | Database,
        "Most servers per database, over all users; 0 = no limit.");
    public static readonly Setting<int> MaxHostConnections = Row("max_host_connections", Count, "0", Global,
        "Ours: most servers per host and port, over all databases and users; 0 = no limit.");
    public static readonly Setting<long> MaxLookaheadMemory = Row("max_lookahead_memory", Bytes, "67108864", Global,
        "Ours: bytes all look-aheads together may hold.");
    public static readonly Setting<long> MaxPacketSize = Row("max_packet_size", Bytes, "2147483647", Global,
        "A larger message closes the client (bytes).");
    public static readonly Setting<long> MaxPreparedMemory = Row("max_prepared_memory", Bytes, "134217728", Global,
        "Ours: bytes of all prepared statements and clients' names for them; beyond it a client that names one keeps its server.");
    public static readonly Setting<int> MaxPreparedStatements = Row("max_prepared_statements", Count, "200", Global,
        "Prepared statements kept per server in transaction and statement mode; 0 = not tracked: a client that names one keeps its server.");
    public static readonly Setting<long> MaxReplicaLag = Row("max_replica_lag", Bytes, "0", Global | Database,
        "Ours: a replica that lacks more bytes of the primary's WAL serves nobody; 0 = any lag will do.");
    public static readonly Setting<TimeSpan> MaxReplicaLagTime = Row("max_replica_lag_time", Seconds, "10", Global | Database,
        "Ours: a replica that lacks what the primary wrote longer ago serves nobody; 0 = any lag will do.");
    public static readonly Setting<int> MaxUserClientConnections = Row("max_user_client_connections", Count, "0", Global | User,
        "Most clients per user; 0 = no limit.");
    public static readonly Setting<int> MaxUserConnections = Row("max_user_connections", Count, "0", Global | User,
        "Most servers per user, over all databases; 0 = no limit.");
    public static readonly Setting<int> MinPoolSize = Row("min_pool_size", Count, "0", Global | Database,
        "Servers kept open in a pool with a forced user or a client; at most the pool size.");
    public static readonly Setting<string?> MonitorUser = Row("monitor_user", OptionalText, null, Global | Database,
        "Ours: who probes the hosts of an entry with routing, with the password in auth_file; left out = auth_user, the forced user, or postgres.");
    public static readonly Setting<ImmutableArray<string>> OAuthAudience = Row("oauth_audience", NameList, "", Global,
        "Ours: for OAuth, names of this service at the issuer: one of them must be in a token's aud. There must be one.");
    public static readonly Setting<string?> OAuthIssuer = Row("oauth_issuer", IssuerUrl, null, Global,
        "Ours: for OAuth, whose tokens let clients in, as it stands in their iss; a line of auth_hba_file may name another.");
    public static readonly Setting<string?> OAuthJwksFile = Row("oauth_jwks_file", OptionalText, null, Global,
        "Ours: the keys of oauth_issuer (JSON Web Key Set) in a file, read at the start and at RELOAD: nothing is fetched then.");
    public static readonly Setting<string?> OAuthJwksUrl = Row("oauth_jwks_url", SafeUrl, null, Global,
        "Ours: where the keys of oauth_issuer are fetched; left out = its /.well-known/openid-configuration says it.");
    public static readonly Setting<string> OAuthScope = Row("oauth_scope", Text, "", Global,
        "Ours: for OAuth, scopes that a token must have, between blanks; a line of auth_hba_file may name others.");
    public static readonly Setting<string> OAuthUserClaim = Row("oauth_user_claim", Text, "sub", Global,
        "Ours: for OAuth, the claim of a token that is the user's name, or that map= of a line of auth_hba_file finds in auth_ident_file.");
    public static readonly Setting<TwoPrimariesRule> OnTwoPrimaries = Row("on_two_primaries", TwoPrimariesWord, "stay", Global | Database,
        "Ours: while a second host takes writes: stay = with the primary as long as it answers; hold = nobody writes, unless the second is on an older timeline; newest = to the newer timeline.");
    public static readonly Setting<string?> OtlpEndpoint = Row("otlp_endpoint", CollectorUrl, null, Global,
        "Ours: where telemetry is sent by OTLP over HTTP (protobuf), as in http://collector:4318; /v1/metrics and /v1/traces are put behind it; left out or empty = nowhere.");
    public static readonly Setting<string?> OtlpHeaders = Row("otlp_headers", Headers, null, Global,
        "Ours: headers for otlp_endpoint, name=value separated by commas; a % is written %25, and no value may have a comma.", secret: true);
    public static readonly Setting<TimeSpan> OtlpInterval = Row("otlp_interval", Seconds, "60", Global,
        "Ours: pause between two sendings of metrics to otlp_endpoint; 0 = no metrics are sent there.");
    public static readonly Setting<string> PamService = Row("pam_service", Text, "pgbouncer", Global,
        "Ours: the service (a file of /etc/pam.d) by which PAM checks passwords, unless a line of auth_hba_file has its own pamservice.");
    public static readonly Setting<string?> PasswordCommand = Row("password_command", OptionalText, null, Global | Database,
        "Ours: what is run (/bin/sh -c) for the password of a server login, which it prints; POOLER_HOST, POOLER_PORT, POOLER_USER and POOLER_DATABASE tell what for. In an entry with password= that one counts; auth_file does not (docs/security.md).", secret: true);
    public static readonly Setting<TimeSpan> PasswordCommandTimeout = Row("password_command_timeout", Seconds, "10", Global,
        "Ours: a password_command that takes longer is ended, and the login has failed; 0 = server_connect_timeout.");
    public static readonly Setting<TimeSpan> PasswordCommandTtl = Row("password_command_ttl", Seconds, "600", Global,
        "Ours: how long what password_command has printed is used for further logins, and no longer than a JSON Web Token in it lasts; one that a server refuses is asked for again at once; 0 = not at all.");
    public static readonly Setting<int> PeerId = Row("peer_id", PeerNumber, "0", Global,
        "Number of this process in [peers], 1 to 16383, which its cancel keys carry; 0 = cancel requests for peers are not passed on.");
    public static readonly Setting<string> PidFile = Row("pidfile", Text, "", Global,
        "File the process id is written to; the start is refused while the process in it runs. Needed for -d.", AtRestart);
    public static readonly Setting<PinRule> Pin = Row("pin", PinWord, "auto", Global,
        "Ours: session state that no other server has (LISTEN, temporary tables, SET …) in transaction and statement mode: auto = the client keeps its server while it lives; refuse = such statements are refused; off = it is lost with the server.");
    public static readonly Setting<long> PktBuf = Row("pkt_buf", Bytes, "4096", Global,
        "Buffer size of PgBouncer; here a connection has buffers only while there are bytes in them.", AtRestart, NoMeaning);
    public static readonly Setting<PoolMode> PoolMode = Row("pool_mode", PoolModeWord, "session", Global | Database | User,
        "When a server goes back to its pool.");
    public static readonly Setting<TimeSpan> PoolIdleTimeout = Row("pool_idle_timeout", Seconds, "0", Global,
        "Forgets a pool, with its figures, that has had no client and no server for that long; 0 = never.");
    public static readonly Setting<int> PreparedStatementWarmUp = Row("prepared_statement_warmup", Count, "0", Global,
        "Ours: of the prepared statements in use, the most used so many are prepared on a new server before its first client; at most max_prepared_statements; 0 = none.");
    public static readonly Setting<NetworkList> ProxyProtocolNetworks = Row("proxy_protocol_networks", Networks, "", Global,
        "Ours: proxies that say whose connection it is by the PROXY protocol, version 1 or 2, in a header ahead of all else; from these addresses a connection without one is refused, and from all others one with it.");
    public static readonly Setting<TimeSpan> QueryTimeout = Row("query_timeout", Seconds, "0", Global | User,
        "Ends a query that runs longer, with its client and server; 0 = never.");
    public static readonly Setting<TimeSpan> QueryWaitNotify = Row("query_wait_notify", WholeSeconds, "5", Global,
        "A waiting client gets a NOTICE after that long; 0 = never.");
    public static readonly Setting<TimeSpan> QueryWaitTimeout = Row("query_wait_timeout", Seconds, "120", Global | Database | User,
        "Closes a client that waited that long for a server; 0 = never.");
    public static readonly Setting<ReadAfterWrite> ReadAfterWrite = Row("read_after_write", ReadAfterWriteWord, "session", Global | Database,
        "Ours: with routing = read_write_split, whose writes a read on a replica must not miss: its own session's, those of its user in this process, or nobody's.");
    public static readonly Setting<ImmutableArray<string>> ReadOnlyFunctions = Row("read_only_functions", NameList, "", Global | Database,
        "Ours: for routing = read_write_split, functions, views and types that a replica may use although the catalogue calls them volatile.");
    public static readonly Setting<int> ReservePoolSize = Row("reserve_pool_size", Count, "0", Global | Database | User,
        "Servers a pool may open beyond its size when clients wait too long.", alias: "reserve_pool");
    public static readonly Setting<TimeSpan> ReservePoolTimeout = Row("reserve_pool_timeout", Seconds, "5", Global,
        "The wait that opens the reserve; 0 = no reserve.");
    public static readonly Setting<string> ResolvConf = Row("resolv_conf", Text, "", Global,
        "Accepted without effect: names are looked up by the system's resolver, as /etc/nsswitch.conf and /etc/resolv.conf say.", AtRestart, NoMeaning);
    public static readonly Setting<RoutingRule> Routing = Row("routing", RoutingWord, "off", Global | Database,
        "Ours: off = plain pooling; primary = everything to the host that is primary; prefer_replica, replica = everything to replicas; read_write_split = what only reads to replicas; multi_primary = each client to one of the hosts that take writes (docs/routing.md).");
    public static readonly Setting<int> SBufLoopCount = Row("sbuf_loopcnt", Count, "5", Global,
        "Reads of one connection before the others get their turn; 0 = no limit.");
    public static readonly Setting<int> ScramIterations = Row("scram_iterations", Count, "4096", Global,
        "Iterations of SCRAM secrets derived from clear-text passwords.");
    public static readonly Setting<TimeSpan> ServerCheckDelay = Row("server_check_delay", Seconds, "30", Global,
        "A server idle longer is checked before it is lent; 0 = always.");
    public static readonly Setting<string> ServerCheckQuery = Row("server_check_query", Text, "<empty>", Global,
        "The check; <empty> = an empty query, nothing = no check.");
    public static readonly Setting<TimeSpan> ServerCleanupTimeout = Row("server_cleanup_timeout", Seconds, "5", Global,
        "Ours: longest clean-up of a server that a client left in the middle; 0 = no limit.");
    public static readonly Setting<TimeSpan> ServerConnectTimeout = Row("server_connect_timeout", Seconds, "15", Global,
        "Longest connect and login of a server, connect_query, and auth_query; 0 = no limit.");
    public static readonly Setting<bool> ServerFastClose = Row("server_fast_close", Switch, "0", Global,
        "A server to be replaced (RELOAD, RECONNECT) that a client keeps (session mode, pins) is closed after its transaction, and the client with it.");
    public static readonly Setting<TimeSpan> ServerIdleTimeout = Row("server_idle_timeout", Seconds, "600", Global,
        "Closes a server idle that long; 0 = never.");
    public static readonly Setting<TimeSpan> ServerLifetime = Row("server_lifetime", Seconds, "3600", Global | Database,
        "Closes an idle server that old, up to a tenth sooner, and of a pool at most one in each pool_size-th part of that time; 0 = after one use.");
    public static readonly Setting<TimeSpan> ServerLoginRetry = Row("server_login_retry", Seconds, "15", Global,
        "Pause after a failed server login; clients get its error meanwhile.");
    public static readonly Setting<string> ServerResetQuery = Row("server_reset_query", Text, "DISCARD ALL", Global,
        "Sent to a released server in session mode.");
    public static readonly Setting<bool> ServerResetQueryAlways = Row("server_reset_query_always", Switch, "0", Global,
        "Sends server_reset_query in every pool mode.");
    public static readonly Setting<bool> ServerRoundRobin = Row("server_round_robin", Switch, "0", Global,
        "Lends the server idle longest instead of the one used last (for another client than the last: of those that have rested for 0.2 ms).");
    public static readonly Setting<TlsCiphers?> ServerTls13Ciphers = Row("server_tls13_ciphers", OptionalTls13Ciphers, null, Global,
        "TLS 1.3 cipher suites offered to servers; left out = the platform's.");
    public static readonly Setting<string> ServerTlsCaFile = Row("server_tls_ca_file", Text, "", Global,
        "Authorities that sign the certificates of servers (PEM), for verify-ca and verify-full; empty = the system's.");
    public static readonly Setting<string> ServerTlsCertFile = Row("server_tls_cert_file", Text, "", Global,
        "Certificate shown to servers that ask for one (PEM).");
    public static readonly Setting<TlsCiphers> ServerTlsCiphers = Row("server_tls_ciphers", TlsCipherList, "default", Global,
        "Cipher suites up to TLS 1.2 offered to servers, in OpenSSL's names; default = the platform's.");
    public static readonly Setting<string> ServerTlsKeyFile = Row("server_tls_key_file", Text, "", Global,
        "Key of server_tls_cert_file (PEM, without a password).");
    public static readonly Setting<TlsNegotiation> ServerTlsNegotiation = Row("server_tls_negotiation", TlsNegotiationWord, "postgres", Global,
        "Ours: postgres = SSLRequest comes first, direct = TLS from the first byte (PostgreSQL 17 and later; needs require or more).");
    public static readonly Setting<TlsVersions> ServerTlsProtocols = Row("server_tls_protocols", TlsVersionList, "secure", Global,
        "TLS versions offered to servers: tlsv1.0 to tlsv1.3, all, secure (1.2 and 1.3).");
    public static readonly Setting<SslMode> ServerTlsSslMode = Row("server_tls_sslmode", SslModeWord, "prefer", Global,
        "TLS with servers: disable, allow and prefer (if the server can), require, verify-ca (signed by server_tls_ca_file), verify-full (and made out to the host).");
    public static readonly Setting<TimeSpan> ShutdownDelay = Row("shutdown_delay", Seconds, "0", Global,
        "Ours: SIGTERM, SIGINT and SHUTDOWN WAIT_FOR_… begin so much later, while /readyz fails already: load balancers look elsewhere before new clients are refused.");
    public static readonly Setting<TimeSpan> ShutdownTimeout = Row("shutdown_timeout", Seconds, "0", Global,
        "Ours: longest wait of SIGTERM for clients to leave, then it goes on as SIGINT; longest wait of SIGINT for transactions to end, then clients are cut with 57P01; 0 = no limit.");
    public static readonly Setting<bool> SoReusePort = Row("so_reuseport", Switch, "0", Global,
        "Lets several processes listen on the same port: for a restart without a gap start the new one, then end the old one with SIGTERM.", AtRestart);
    public static readonly Setting<StartupParameterRule> StartupParameters = Row("startup_parameters", StartupParameterWord, "follow", Global,
        "Ours: follow = startup parameters are set on every server a client is lent; refuse = as PgBouncer, the login fails over those servers do not report.");
    public static readonly Setting<long> StatementStatistics = Row("statement_statistics", Bytes, "4194304", Global,
        "Ours: memory for the figures of SHOW STATEMENTS; what was not used for longest makes room; 0 = they are not kept (docs/statements.md).");
    public static readonly Setting<TimeSpan> StatsPeriod = Row("stats_period", WholeSeconds, "60", Global,
        "Interval of averages and of log_stats.");
    public static readonly Setting<ImmutableArray<string>> StatsUsers = Row("stats_users", NameList, "", Global,
        "Users who may read the console (SHOW except FDS).");
    public static readonly Setting<TimeSpan> SuspendTimeout = Row("suspend_timeout", Seconds, "10", Global,
        "Longest wait of SUSPEND for clients to give their servers back; 0 = no limit.");
    public static readonly Setting<string?> SwitchoverCommand = Row("switchover_command", OptionalText, null, Global | Database,
        "Ours: what SWITCHOVER runs (/bin/sh -c) once writes are held and the new primary has all; left out = it waits for whoever promotes it. POOLER_DATABASE, POOLER_OLD_HOST, POOLER_OLD_PORT, POOLER_NEW_HOST and POOLER_NEW_PORT tell what of.");
    public static readonly Setting<TimeSpan> SwitchoverDrainTime = Row("switchover_drain_time", Seconds, "10", Global | Database,
        "Ours: longest wait of SWITCHOVER for transactions on the old primary to end; then it gives up and names them.");
    public static readonly Setting<bool> Syslog = Row("syslog", Switch, "0", Global,
        "Logs to syslog, too.");
    public static readonly Setting<SyslogFacility> SyslogFacility = Row("syslog_facility", SyslogFacilityWord, "daemon", Global,
        "Facility of the syslog messages.");
    public static readonly Setting<string> SyslogIdent = Row("syslog_ident", Text, "pgbouncer", Global,
        "Name in the syslog messages.");
    public static readonly Setting<string> SyslogSocket = Row("syslog_socket", Text, "/dev/log", Global,
        "Ours: the Unix socket of the system's log.");
    public static readonly Setting<bool> TcpDeferAccept = Row("tcp_defer_accept", Switch, "1", Global,
        "Accepts a connection when its first data is there (45 s).");
    public static readonly Setting<bool> TcpKeepAlive = Row("tcp_keepalive", Switch, "1", Global,
        "TCP keepalive on every connection.");
    public static readonly Setting<int> TcpKeepCount = Row("tcp_keepcnt", Count, "0", Global,
        "Unanswered probes before a connection is dead; 0 = as the system has it.");
    public static readonly Setting<int> TcpKeepIdle = Row("tcp_keepidle", Count, "0", Global,
        "Seconds of silence before the first probe; 0 = as the system has it.");
    public static readonly Setting<int> TcpKeepInterval = Row("tcp_keepintvl", Count, "0", Global,
        "Seconds between probes; 0 = as the system has it.");
    public static readonly Setting<int> TcpSocketBuffer = Row("tcp_socket_buffer", Count, "0", Global,
        "Bytes of the kernel's buffer per direction; 0 = as the system has it.");
    public static readonly Setting<int> TcpUserTimeout = Row("tcp_user_timeout", Count, "0", Global,
        "Milliseconds sent data may stay unacknowledged; 0 = as the system has it.");
    public static readonly Setting<ImmutableArray<string>> TrackExtraParameters =
        Row("track_extra_parameters", NameList, "IntervalStyle", Global,
        "With startup_parameters = refuse, further parameters a client may give; all that servers report are kept per client.", AtRestart);
    public static readonly Setting<double> TraceSampleRatio = Row("trace_sample_ratio", Share, "0", Global,
        "Ours: share of the statements without a trace of their own that are traced (docs/tracing.md); of those with one (traceparent in a comment) its flag decides; 0 = no traces at all.");
    public static readonly Setting<TimeSpan> TransactionTimeout = Row("transaction_timeout", Seconds, "0", Global | User,
        "Closes a client whose transaction lasts longer; 0 = never.");
    public static readonly Setting<string> UnixSocketDir = Row("unix_socket_dir", SocketDirectory, "/tmp", Global,
        "Directory of our Unix socket and of those of servers without a host; @ and a name = abstract, without a file; empty = none.", AtRestart);
    public static readonly Setting<string> UnixSocketGroup = Row("unix_socket_group", Text, "", Global,
        "Group of the Unix socket, a name or a number; empty = that of the process.", AtRestart);
    public static readonly Setting<int> UnixSocketMode = Row("unix_socket_mode", OctalMode, "0777", Global,
        "File mode of the Unix socket.", AtRestart);
    public static readonly Setting<string?> SystemUser = Row("user", OptionalText, null, Global,
        "System user to change to at the start, which only root can.", AtRestart);
    public static readonly Setting<int> Verbose = Row("verbose", Verbosity, null, Global,
        "How much is logged, 0 to 3.");
    public static readonly Setting<ImmutableArray<string>> VolatileFunctions = Row("volatile_functions", NameList, "", Global | Database,
        "Ours: for routing = read_write_split, functions, views and types whose use makes a statement a write, whatever the catalogue says.");
    public static readonly Setting<ImmutableArray<int>> Weight = Row("weight", WeightList, "1", Global | Database,
        "Ours: with routing, a host's share of the reads, for load_balance weighted and least_busy: one for all hosts, or one for each; 0 = only when no other can.");
    public static readonly Setting<int> Workers = Row("workers", Count, "0", Global,
        "Ours: I/O threads; 0 = half of the processors, at least 1, at most 4.", AtRestart);
    public static readonly Setting<ImmutableArray<string>> Zone = Row("zone", NameList, "", Global | Database,
        "Ours: with routing, in [pgbouncer] the zone this process is in, in [databases] those of the hosts, one for all or one for each: hosts of the own zone come first.");

    // Only for one database, one user or one peer.
    public static readonly Setting<string?> DbName = Row("dbname", OptionalText, null, Database,
        "Name of the database on the server; the name of the entry if left out.");
    public static readonly Setting<ImmutableArray<string>> Host = Row("host", HostList, "", Database,
        "Where the servers are; left out = the Unix socket in unix_socket_dir. Of several hosts each new server goes to one (load_balance_hosts).");
    public static readonly Setting<ImmutableArray<int>> Port = Row("port", PortList, "5432", Database,
        "Port of the servers: one for all hosts, or one for each.");
    public static readonly Setting<string?> ForcedUser = Row("user", OptionalText, null, Database,
        "Forced user: every client shares one pool under this name.");
    public static readonly Setting<string?> Password = Row("password", OptionalText, null, Database,
        "Password of the forced user; left out = the one in auth_file.", secret: true);
    public static readonly Setting<int> PoolSize = Row("pool_size", Count, null, Database | User | Peer,
        "Most servers per user and database; of a peer most cancel requests on their way to it at once; left out = default_pool_size.");
    public static readonly Setting<string?> PeerHost = Row("host", OptionalText, null, Peer,
        "Where the peer is: a name, an address, or the directory of its Unix socket. There must be one.");
    public static readonly Setting<int> PeerPort = Row("port", PortNumber, "6432", Peer,
        "Port of the peer.");
    public static readonly Setting<string?> ConnectQuery = Row("connect_query", OptionalText, null, Database,
        "Sent to each new server; its errors are logged and ignored.");
    public static readonly Setting<LoadBalanceHosts> LoadBalanceHosts = Row("load_balance_hosts", LoadBalanceWord, "round-robin", Database,
        "Without routing: which host of a list a new server goes to: the next one each time, the same one until it fails, or any.");
    public static readonly Setting<string?> SharePools = Row("share_pools", OptionalText, null, Database,
        "Ours: with routing, the entry whose servers this one's clients use too; its limits count. Both have the same hosts, dbname and forced user.");
    public static readonly Setting<TargetSessionAttrs> TargetSessionAttrs = Row("target_session_attrs", TargetSessionAttrsWord, null, Database,
        "Ours: libpq's words for routing: read-write, primary = primary; standby, read-only = replica; prefer-standby = prefer_replica; any = off.");
    public static readonly Setting<string?> ClientEncoding = Row("client_encoding", OptionalText, null, Database,
        "Startup parameter client_encoding of the servers.");
    public static readonly Setting<string?> DateStyle = Row("datestyle", OptionalText, null, Database,
        "Startup parameter datestyle of the servers.");
    public static readonly Setting<string?> TimeZone = Row("timezone", OptionalText, null, Database,
        "Startup parameter timezone of the servers.");
    public static readonly Setting<string?> ApplicationName = Row("application_name", OptionalText, null, Database,
        "Startup parameter application_name of the servers.");

    /// <summary>Every row; <see cref="Setting.Index"/> counts in it.</summary>
    public static readonly ImmutableArray<Setting> All = [.. Rows];

    private static readonly FrozenDictionary<(string Name, SettingScope Scope), Setting> ByName = Places().ToFrozenDictionary();

    /// <summary>The row of a name, or of its second name, in one place; null if there is none. Case matters, as in PgBouncer.</summary>
    public static Setting? Find(string name, SettingScope scope) => ByName.GetValueOrDefault((name, scope));

    /// <summary>The names of the rows that may stand in one place.</summary>
    public static IEnumerable<string> Names(SettingScope scope) =>
        All.Where(setting => setting.Scope.HasFlag(scope)).Select(static setting => setting.Name);

    private static Dictionary<(string Name, SettingScope Scope), Setting> Places()
    {
        Dictionary<(string, SettingScope), Setting> places = [];
        foreach (Setting setting in All)
        {
            foreach (SettingScope scope in (SettingScope[])[Global, Database, User, Peer])
            {
                if (!setting.Scope.HasFlag(scope)) continue;
                places.Add((setting.Name, scope), setting);
                if (setting.Alias is { } alias) places.Add((alias, scope), setting);
            }
        }

        return places;
    }

    private static Setting<T> Row<T>(string name, ValueKind<T> kind, string? defaultText, SettingScope scope, string meaning,
        WhenChanged when = AtOnce, Support support = Works, string? alias = null, bool secret = false)
    {
        Setting<T> setting = new(Rows.Count, name, scope, kind, defaultText)
        {
            Alias = alias,
            DefaultText = defaultText,
            WhenChanged = when,
            Support = support,
            IsSecret = secret,
            Meaning = meaning,
        };
        Rows.Add(setting);
        return setting;
    }
}
