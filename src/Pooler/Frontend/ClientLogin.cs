using System.Buffers.Binary;
using System.Net;
using System.Security.Cryptography;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Session;
using Pooler.Sql;
using Pooler.Telemetry;

namespace Pooler.Frontend;

/// <summary>
/// Step 2 of the walk: from an accepted socket to an authenticated client and its session. One deadline
/// (client_login_timeout) for all of it; what a stranger may send is bounded.
/// </summary>
internal sealed class ClientLogin
{
    /// <summary>Bytes of a startup packet or a password message (architecture rule 7; PostgreSQL's own bound is 10,000).</summary>
    public const int MaxStartup = 10_000;

    private readonly LoginContext _context;
    private PoolerConfig _config;
    private readonly bool _isUnix;
    private readonly DeadlineTimer _deadline;
    private readonly WelcomeRequest _welcome;
    private readonly long _startedAt;
    private RouteHint _route;
    private ErrorFields? _refusal;
    private string? _name;
    private bool _isCancel, _hasLongKey, _isPreferred;
    private ClientIdentity? _console;
    private string _applicationName = "";
    private ClientIdentity? _identity;

    public ClientLogin(Connection client, LoginContext context, bool isUnix)
    {
        Client = client;
        _context = context;
        _config = context.Live.Current;
        _isUnix = isUnix;
        _startedAt = client.Owner.Now;
        _deadline = new DeadlineTimer(this);
        _welcome = new WelcomeRequest(this);
    }

    public Connection Client { get; }

    public bool IsUnix => _isUnix;

    private MessageWriter Writer => new(Client.Outbox);

    public async Task RunAsync()
    {
        Session.ClientSession? session = null;
        try
        {
            if (_config.Get(Settings.ClientLoginTimeout) is var timeout && timeout > TimeSpan.Zero)
            {
                Client.Owner.Wheel.Set(_deadline, Client.Owner.Now + (long)timeout.TotalMicroseconds);
            }

            StartupPacket? packet = await ReadProxyHeaderAsync() ? await ReadStartupAsync() : null;
            if (packet != null)
            {
                session = await EnterAsync(packet, packet.Database == PoolerConfig.ConsoleDatabase);
            }
        }
        catch (Exception e)
        {
            IoThread.Defect($"Login: {e}");
            Refuse("internal error", "XX000");
        }

        Client.Owner.Wheel.Clear(_deadline);
        _context.Sessions.LoginEnded();
        if (session != null)
        {
            session.Start();
        }
        else if (_console is { } identity && _refusal == null)
        {
            _context.Sessions.Disconnected(); // The console's own clients are not counted.
            _context.Console(Client, identity, _applicationName);
        }
        else
        {
            GoodBye();
        }
    }

    /// <summary>Nobody waits for its verdict any more. From any thread: a hint, for what need not be computed then.</summary>
    internal bool HasLeft => _refusal != null || Client.HasHungUp || Client.Input.IsEnded;

    /// <summary>
    /// What takes long, off the I/O threads and a few at once. Whoever administers us has a place of his own: in a storm of logins he is
    /// the one who can do something about it.
    /// </summary>
    internal ValueTask<TResult> ComputeAsync<TState, TResult>(Func<TState, TResult> work, TState state) =>
        Offload.Run(Client, _context.Work, _isPreferred, work, state);

    /// <summary>What auth_query says of the user; null when nothing is known, and the login is refused. On the console nobody asks.</summary>
    internal async ValueTask<AuthAnswer?> AskSecretAsync(DatabaseConfig database, string user)
    {
        Client.Outbox.Flush();
        var request = new SecretRequest(Client);
        _context.SecretQueries.Ask(database, user, request);
        while (request.Answer == null && _refusal == null && !Client.Input.IsEnded && !Client.HasHungUp)
        {
            await Client.Input.ParkAsync();
        }

        request.Leave();
        if (request.Answer is { Error: { } error })
        {
            string name = _name ?? _context.LogName(Client, _identity);
            _context.Log.AuthQueryFailed(name, error.SqlState, error.Message);
            Refuse("auth_query failed: the user cannot be looked up", "08006");
        }

        return _refusal == null ? request.Answer : null;
    }

    /// <summary>The login by what auth_query said has failed.</summary>
    internal void ForgetSecret(DatabaseConfig database, string user) => _context.SecretQueries.Forget(database, user);

    internal string? AuthUserOf(DatabaseConfig database) => SecretQueries.AuthUserOf(_config, database);

    /// <summary>The body of the next message, which must be of this type; null when the client failed to send one.</summary>
    internal async ValueTask<byte[]?> ReadFrameAsync(byte type, int limit)
    {
        Client.Outbox.Flush();
        ConnectionInput input = Client.Input;
        while (_refusal == null)
        {
            ReadOnlyMemory<byte>? body = TakeFrame(type, limit);
            if (body != null)
            {
                return body.Value.ToArray();
            }

            if (_refusal != null || input.IsEnded)
            {
                break;
            }

            await input.WaitAsync();
        }

        return null;
    }

    private ReadOnlyMemory<byte>? TakeFrame(byte type, int limit)
    {
        ReadOnlySpan<byte> data = Client.Input.Unread;
        if (data.Length >= FrameHeader.Size)
        {
            long length = FrameHeader.FrameLength(data);
            if (data[0] != type || length == 0 || length > limit)
            {
                Refuse(data[0] == FrontendMessage.Terminate ? "client close request" : "unexpected message during login", "08P01");
                return null;
            }

            if (data.Length >= length)
            {
                byte[] body = data[FrameHeader.Size..(int)length].ToArray();
                Client.Input.Advance((int)length);
                return body;
            }
        }

        Client.Input.Advance(0);
        return null;
    }

    /// <summary>From a proxy of ours the header must come first: what it says is believed, and there is no guessing.</summary>
    private async ValueTask<bool> ReadProxyHeaderAsync()
    {
        NetworkList proxies = _config.Get(Settings.ProxyProtocolNetworks);
        if (_isUnix || proxies.IsEmpty || !IPAddress.TryParse(Client.Name(peer: true).Address, out IPAddress? address) || !proxies.Holds(address))
        {
            return true;
        }

        ConnectionInput input = Client.Input;
        while (_refusal == null)
        {
            switch (ProxyHeader.Read(input.Unread, out int length, out IPEndPoint? source))
            {
                case ProxyHeaderState.Whole:
                    input.Advance(length);
                    Client.ProxiedPeer = source;
                    return true;
                case ProxyHeaderState.Malformed:
                    Refuse("PROXY protocol header expected (proxy_protocol_networks)", "08P01");
                    return false;
            }

            input.Advance(0);
            if (input.IsEnded)
            {
                return false;
            }

            await input.WaitAsync();
        }

        return false;
    }

    /// <summary>Startup packet, behind any SSLRequest and GSSENCRequest (each answered N for now).</summary>
    private async ValueTask<StartupPacket?> ReadStartupAsync()
    {
        bool sslAsked = false, gssAsked = false;
        while (true)
        {
            byte[]? body = await ReadUntypedAsync();
            if (body == null)
            {
                return null;
            }

            switch (StartupPacket.ReadCode(body))
            {
                case StartupPacket.SslRequest when !sslAsked:
                    sslAsked = true;
                    break;
                case StartupPacket.GssEncRequest when !gssAsked:
                    gssAsked = true;
                    break;
                case StartupPacket.CancelRequest:
                    _isCancel = true;
                    await CancelAsync(body);
                    return null;
                default:
                    if (StartupPacket.TryParse(body, out StartupPacket? packet, out string problem))
                    {
                        return packet;
                    }

                    Refuse(problem, "08P01");
                    return null;
            }

            Client.Outbox.Append("N"u8);
            Client.Outbox.Flush();
        }
    }

    /// <summary>A cancel gets no answer; that its connection ends tells the client that what could be done has been done.</summary>
    private async ValueTask CancelAsync(byte[] body)
    {
        if (!StartupPacket.TryReadCancelRequest(body, out int processId, out ReadOnlySpan<byte> secret))
        {
            return;
        }

        byte[] issued = _context.Sessions.Keys.AsIssued(secret);
        _context.CancelConsole(processId, issued);
        var request = new CancelRequest(Client);
        if (_context.Sessions.Cancel(processId, issued, request) || _context.Peers.Pass(processId, secret, request.Done))
        {
            while (!request.IsDone && _refusal == null && !Client.Input.IsEnded)
            {
                await Client.Input.ParkAsync();
            }
        }
    }

    private async ValueTask<byte[]?> ReadUntypedAsync()
    {
        ConnectionInput input = Client.Input;
        while (_refusal == null)
        {
            int length = input.UnreadLength >= 4 ? BinaryPrimitives.ReadInt32BigEndian(input.Unread) : 8;
            if (length is < 8 or > MaxStartup)
            {
                Refuse("invalid length of startup packet", "08P01");
                return null;
            }

            if (input.UnreadLength >= length)
            {
                byte[] body = input.Unread[4..length].ToArray();
                input.Advance(length);
                return body;
            }

            input.Advance(0);
            if (input.IsEnded)
            {
                break;
            }

            await input.WaitAsync();
        }

        return null;
    }

    /// <summary>Who is it, may it, and into which pool.</summary>
    private async ValueTask<Session.ClientSession?> EnterAsync(StartupPacket packet, bool isConsole)
    {
        // Who connected before a RELOAD and speaks after it is received by the new configuration.
        _config = _context.Live.Current;
        var identity = new ClientIdentity(packet.Database, packet.User);
        _identity = identity;
        if (_config.Get(Settings.LogConnections))
        {
            _name = _context.LogName(Client, identity);
            _context.Log.LoginAttempt(_name, identity.Database, identity.User);
        }

        if (packet.Replication != ReplicationMode.None)
        {
            return Refuse("replication connections are not supported", "0A000");
        }

        if (!isConsole && _context.IsStopping(_isUnix))
        {
            return Refuse("pooler is shutting down", "57P01");
        }

        if (!isConsole && _context.Sessions.Clients > _config.Get(Settings.MaxClientConn))
        {
            return Refuse("no more connections allowed (max_client_conn)", "08P01");
        }

        List<StartupParameter>? asked = StartupSettings.Read(packet, _config, out string problem);
        if (asked == null)
        {
            return Refuse(problem, "08P01");
        }

        if (_config.Get(Settings.ApplicationNameAddHost))
        {
            StartupSettings.AddHost(asked, DescribePeer());
        }

        Negotiate(packet);
        if (await AuthenticateAsync(identity, isConsole) is { } refusal)
        {
            return Refuse(refusal, refusal is Authentication.UntrustedUser or "not allowed" ? "08P01" : refusal == Authentication.Rejected ? "28000" : "28P01");
        }

        // The client may have taken its time to prove who it is: where it goes is said by what is in force by now.
        bool hasProved = _config.Get(Settings.AuthType) != AuthType.Any;
        _config = _context.Live.Current;
        _applicationName = asked.LastOrDefault(static p => p.Name.Equals("application_name", StringComparison.OrdinalIgnoreCase)).Value ?? "";
        if (isConsole)
        {
            Writer.WriteAuthenticationOk();
            _console = identity;
            return null;
        }

        DatabaseConfig? database = _config.FindDatabase(identity.Database);
        if (database == null)
        {
            if (_config.Get(Settings.LogConnections))
            {
                _context.Log.LoginFailed(_name!, identity.Database, identity.User);
            }

            return Refuse($"no such database: {identity.Database}", "3D000");
        }

        if (_context.Pools.IsDisabled(database.Name))
        {
            return Refuse($"database \"{database.Name}\" is disabled", "08P01");
        }

        // PgBouncer: with auth_type any nobody has proved anything, so nobody chooses who he is on the server.
        if (!hasProved && database.ForcedUser == null)
        {
            return Refuse("bouncer config error (auth_type = any needs user= in the database entry)", "08P01");
        }

        Writer.WriteAuthenticationOk();
        return await WelcomeAsync(identity, database, asked);
    }

    /// <summary>Up to 3.2 and no protocol options (PostgreSQL documentation, 55.2.1); the client goes on or leaves.</summary>
    private void Negotiate(StartupPacket packet)
    {
        string[] unknown = [.. packet.Parameters.Select(static p => p.Name)
            .Where(static n => n.StartsWith(StartupPacket.ProtocolOptionPrefix, StringComparison.Ordinal))];
        int minor = Math.Min(packet.Minor, StartupPacket.NewestMinor);
        _hasLongKey = minor == StartupPacket.NewestMinor;
        if (packet.Minor > minor || unknown.Length > 0)
        {
            Writer.WriteNegotiateProtocolVersion(minor, unknown);
        }
    }

    /// <summary>Whether it may use the console is said to those who have proved who they are, as by PgBouncer (admin_post_login).</summary>
    private async ValueTask<string?> AuthenticateAsync(ClientIdentity identity, bool isConsole)
    {
        // PgBouncer: user pgbouncer of our own uid over the Unix socket needs no password.
        if (isConsole && _isUnix && identity.User == PoolerConfig.ConsoleDatabase && Syscalls.PeerUid(Client.Fd) == Syscalls.EffectiveUid())
        {
            return null;
        }

        AuthType type = _config.Get(Settings.AuthType);
        bool isOfConsole = _config.IsAdmin(identity.User) || _config.IsStatsUser(identity.User);
        bool isAllowed = !isConsole || type == AuthType.Any || isOfConsole;
        _isPreferred = isConsole && (_isUnix || isOfConsole);
        var authentication = new Authentication(this, _context.Credentials, isConsole ? null : _config.FindDatabase(identity.Database));
        string? refusal = type == AuthType.Hba ? await authentication.RunAsync(_config.Hba, identity.Database, identity.User) : await authentication.RunAsync(type, identity.User);
        return refusal ?? (isAllowed ? null : "not allowed");
    }

    private async ValueTask<Session.ClientSession?> WelcomeAsync(ClientIdentity identity, DatabaseConfig database, List<StartupParameter> asked)
    {
        if (!TakeRoute(asked))
        {
            return Refuse($"invalid value for parameter \"{PoolerAnswers.RouteName}\"; use primary, replica or auto", "22023");
        }

        ServerPool pool = _context.Pools.Get(database, identity.User);
        WelcomeSet? welcome = pool.Welcome ?? await AwaitWelcomeAsync(pool);
        if (welcome == null)
        {
            return null;
        }

        int ofDatabase = database.MaxDbClientConnections ?? _config.Get(Settings.MaxDbClientConnections);
        int ofUser = _config.Users.GetValueOrDefault(identity.User)?.MaxUserClientConnections ?? _config.Get(Settings.MaxUserClientConnections);
        if (_context.Pools.CountClient(pool, identity.User, ofDatabase, ofUser) is { } limit)
        {
            return Refuse($"client connections exceeded ({limit})", "08P01");
        }

        SessionParameters parameters = welcome.Tracked;
        List<StartupParameter> unreported = [];
        foreach (StartupParameter parameter in asked)
        {
            int index = SessionParameters.IndexOf(parameter.Name);
            if (index >= SessionParameters.WellKnown && welcome.Tracked[index] == null)
            {
                index = -1; // Another pool's servers report it.
            }

            if (index < 0)
            {
                unreported.Add(parameter);
            }
            else if (parameter.Value != parameters[index])
            {
                parameters = parameters.With(index, parameter.Value, reported: false);
            }
        }

        foreach ((string name, string value) in welcome.Values)
        {
            int index = SessionParameters.IndexOf(name);
            Writer.WriteParameterStatus(name, index >= 0 ? parameters[index]! : value);
        }

        Session.ClientSession session = Admit(identity, database, pool, parameters, StartupParameters.Of(asked), StartupParameters.Of(unreported));
        Writer.WriteBackendKeyData(session.CancelKey.ProcessId, _context.Sessions.Keys.SecretOf(session.CancelKey, _hasLongKey));
        if (_config.Get(Settings.LoginNotifyMessage) is { Length: > 0 } message)
        {
            Writer.WriteNotice("NOTICE", "00000", message);
        }

        Writer.WriteReadyForQuery((byte)'I');
        Client.Outbox.Flush();
        return session;
    }

    /// <summary>The client's address as PgBouncer writes it; of a Unix socket the process, the machine and our port (src/util.c, pga_details).</summary>
    private string DescribePeer()
    {
        (string address, int port) = Client.Name(peer: true);
        return _isUnix ? $"unix({Syscalls.PeerProcess(Client.Fd)}@{Environment.MachineName}):{_config.Get(Settings.ListenPort)}"
            : address.Contains(':', StringComparison.Ordinal) ? $"[{address}]:{port}"
            : $"{address}:{port}";
    }

    /// <summary>pooler.route is for ourselves: no server gets it. False when it has no such value.</summary>
    private bool TakeRoute(List<StartupParameter> asked)
    {
        foreach (StartupParameter parameter in asked.Where(static p => p.Name.Equals(PoolerAnswers.RouteName, StringComparison.OrdinalIgnoreCase)))
        {
            if (PoolerAnswers.HintOf(parameter.Value) is not { } hint)
            {
                return false;
            }

            _route = hint;
        }

        asked.RemoveAll(static p => p.Name.Equals(PoolerAnswers.RouteName, StringComparison.OrdinalIgnoreCase));
        return true;
    }

    private Session.ClientSession Admit(
        ClientIdentity identity, DatabaseConfig database, ServerPool pool, SessionParameters parameters, StartupParameters startup, StartupParameters unreported)
    {
        // Timeouts are the login user's, the mode and sizes the pool's (they differ under a forced user).
        // Everybody else shares the pool's record, as strings are shared: clients are many.
        bool isPoolsUser = identity.User == pool.Key.User;
        PoolSettings settings = isPoolsUser ? pool.Settings : _config.Resolve(database, identity.User) with { Mode = pool.Settings.Mode };
        identity = new ClientIdentity(pool.Key.Database, isPoolsUser ? pool.Key.User : identity.User);
        var session = new Session.ClientSession(
            Client, identity, pool, _context.Pools, settings, _config.Get(Settings.DisablePqExec), _config.Get(Settings.MaxPacketSize), parameters, _context.SessionEnded)
        {
            HasLongKey = _hasLongKey,
            Startup = startup,
            StartupRoute = _route,
            Unreported = unreported,
        };
        _context.Sessions.Add(session);
        pool.Stats[Client.Owner.Index].Logins++;
        return session;
    }

    /// <summary>The pool's first server tells what to greet with: a database that is down shows up as a failed login (PgBouncer).</summary>
    private async ValueTask<WelcomeSet?> AwaitWelcomeAsync(ServerPool pool)
    {
        Client.Outbox.Flush();
        AskForWelcome(pool);
        while (IsWaitingFor(pool) && !Client.Input.IsEnded && !Client.HasHungUp && _refusal == null)
        {
            if (_welcome.State == WaiterState.Waiting)
            {
                await Client.Input.ParkAsync();
            }
            else
            {
                AskForWelcome(pool);
            }
        }

        _context.Pools.Leave(_welcome);
        if (_welcome.Error is { } error)
        {
            _refusal ??= error with { Severity = "FATAL" };
            return null;
        }

        return _refusal == null && !Client.Input.IsEnded ? pool.Welcome : null;
    }

    /// <summary>A server may have become a standby, whose report is not for this client, on its way.</summary>
    private bool IsWaitingFor(ServerPool pool) =>
        _welcome.State is WaiterState.Waiting or WaiterState.Rerouted || (_welcome.State == WaiterState.Granted && pool.Welcome == null);

    private void AskForWelcome(ServerPool pool)
    {
        ClusterState? seen;
        do
        {
            _context.Pools.AcquireWelcome(pool, Router.Choose(pool, out seen), _welcome, Client.Owner);
        }
        while (Router.HasChanged(pool, seen) && _context.Pools.TakeBack(_welcome));
    }

    private Session.ClientSession? Refuse(string message, string sqlState)
    {
        _refusal ??= new ErrorFields("FATAL", sqlState, message, null, null);
        return null;
    }

    private void GoodBye()
    {
        _context.Sessions.Disconnected();
        if (_refusal is { } refusal && !_isCancel)
        {
            _context.NoteEnd(_name ?? _context.LogName(Client, _identity), refusal.Message, isError: true, (Client.Owner.Now - _startedAt) / 1_000_000);
            Writer.WriteErrorResponse(refusal.Severity, refusal.SqlState, refusal.Message, refusal.Detail, refusal.Hint);
        }

        if (Client.Input.IsEnded)
        {
            Client.Close();
            Client.Input.Complete();
        }
        else
        {
            Client.CloseGracefully();
        }
    }

    private sealed class WelcomeRequest : Waiter
    {
        private readonly ClientLogin _login;
        private readonly long _connectedAt;

        public WelcomeRequest(ClientLogin login)
        {
            _login = login;
            _connectedAt = login.Client.Owner.Now;
            WantsWelcome = true;
        }

        internal override LoginFacts Login => new(
            _login.Client, _login._identity?.Database ?? "", _login._identity?.User ?? "", _login._applicationName, _connectedAt);

        internal override void Wake() => _login.Client.Input.Wake();
    }

    private sealed class DeadlineTimer(ClientLogin login) : WheelTimer
    {
        internal override void Expired()
        {
            login.Refuse(login._welcome.State == WaiterState.Waiting ? "client_login_timeout (server down)" : "client_login_timeout", "08P01");
            login.Client.Input.Wake();
        }
    }
}
