using Pooler.Backend;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Session;
using Pooler.Telemetry;

using System.Security.Cryptography.X509Certificates;

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
    private readonly long _startedAt;
    private ClientWelcome? _welcome;
    private ErrorFields? _refusal;
    private string? _name, _cause;
    private bool _isCancel, _getsNoAnswer, _hasLongKey, _isPreferred;
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
    }

    public Connection Client { get; }

    public bool IsUnix => _isUnix;

    /// <summary>It is over: the deadline has passed, or the client has done what it must not.</summary>
    public bool IsRefused => _refusal != null;

    /// <summary>The handshake that brought TLS; null: the connection is plain.</summary>
    public TlsHandshake? Tls { get; private set; }

    /// <summary>What SCRAM can be bound to: our certificate, as the client has seen it; null without TLS.</summary>
    public byte[]? ChannelBinding { get; private set; }

    /// <summary>The client's, signed by one of our authorities; null: it showed none, or nobody has looked.</summary>
    public X509Certificate2? VerifiedCertificate { get; private set; }

    /// <summary>The one this login goes by.</summary>
    internal PoolerConfig Config => _config;

    private MessageWriter Writer => new(Client.Outbox);

    public async Task RunAsync()
    {
        ClientSession? session = null;
        try
        {
            if (_config.Get(Settings.ClientLoginTimeout) is var timeout && timeout > TimeSpan.Zero)
            {
                Client.Owner.Wheel.Set(_deadline, Client.Owner.Now + (long)timeout.TotalMicroseconds);
            }

            StartupPacket? packet = await new StartupReader(this, _config).ReadAsync();
            if (packet != null)
            {
                session = await EnterAsync(packet, packet.Database == PoolerConfig.ConsoleDatabase);
            }
        }
        catch (Exception e)
        {
            IoThread.Defect($"Login: {e}");
            Refuse(LoginErrors.Internal.Fields());
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

    /// <summary>Thread clock, microseconds.</summary>
    internal long StartedAt => _startedAt;

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
            Refuse(LoginErrors.AuthQueryFailed.Fields());
        }

        return _refusal == null ? request.Answer : null;
    }

    /// <summary>False: the password was not accepted, which the log tells the reason of, or the login has ended meanwhile.</summary>
    internal async ValueTask<bool> CheckAsync(PasswordChecks checks, PasswordCheck check)
    {
        checks.Ask(check);
        while (check.State == PasswordCheckState.Waiting && _refusal == null && !Client.Input.IsEnded && !Client.HasHungUp)
        {
            await Client.Input.ParkAsync();
        }

        check.Leave();
        if (check.Problem is { } problem)
        {
            _context.Log.PasswordCheckFailed(_name ?? _context.LogName(Client, _identity), checks.Name, problem);
        }

        return _refusal == null && check.State == PasswordCheckState.Accepted;
    }

    /// <summary>Who the bearer of a token is. It has an end of its own: the issuer's keys are waited for with a deadline.</summary>
    internal async ValueTask<OAuthAnswer> CheckTokenAsync(OAuthConfig config, string token)
    {
        Client.Outbox.Flush();
        return await new Question<OAuthAnswer>(Client.Owner).AskAsync(done => _context.Tokens.Check(config, token, done));
    }

    /// <summary>The client is told no more than that it failed.</summary>
    internal void NoteRefusedToken(string problem)
    {
        string name = _name ?? _context.LogName(Client, _identity);
        _context.Log.OAuthRefused(name, problem);
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
            byte[]? body = TakeFrame(type, limit);
            if (body != null)
            {
                return body;
            }

            if (_refusal != null || input.IsEnded)
            {
                break;
            }

            await input.WaitAsync();
        }

        return null;
    }

    private byte[]? TakeFrame(byte type, int limit)
    {
        ReadOnlySpan<byte> data = Client.Input.Unread;
        if (data.Length >= FrameHeader.Size)
        {
            long length = FrameHeader.FrameLength(data);
            if (data[0] != type || length == 0 || length > limit)
            {
                Refuse((data[0] == FrontendMessage.Terminate ? LoginErrors.SaidGoodbye : LoginErrors.UnexpectedMessage).Fields());
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

    /// <summary>A cancel gets no answer; that its connection ends tells the client that what could be done has been done.</summary>
    internal async ValueTask CancelAsync(byte[] body)
    {
        _isCancel = true;
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

    /// <summary>Who is it, may it, and into which pool.</summary>
    private async ValueTask<ClientSession?> EnterAsync(StartupPacket packet, bool isConsole)
    {
        // Who connected before a RELOAD and speaks after it is received by the new configuration.
        _config = _context.Live.Current;
        var identity = new ClientIdentity(packet.Database, packet.User);
        _identity = identity;
        if (_config.Get(Settings.LogConnections))
        {
            _name = _context.LogName(Client, identity);
            _context.Log.LoginAttempt(_name, identity.Database, identity.User, Client.Tls?.Description ?? "no");
        }

        if (packet.Replication != ReplicationMode.None)
        {
            return Refuse(LoginErrors.Replication.Fields());
        }

        if (!isConsole && _context.IsStopping(_isUnix))
        {
            return Refuse(LoginErrors.Stopping.Fields());
        }

        if (!isConsole && _context.Sessions.Clients > _config.Get(Settings.MaxClientConn))
        {
            return Refuse(LoginErrors.TooManyClients.Fields());
        }

        List<StartupParameter>? asked = StartupSettings.Read(packet, _config, out string problem);
        if (asked == null)
        {
            return Refuse(LoginErrors.BadParameter.Fields(problem));
        }

        if (_config.Get(Settings.ApplicationNameAddHost))
        {
            StartupSettings.AddHost(asked, DescribePeer());
        }

        Negotiate(packet);
        if (await AuthenticateAsync(identity, isConsole) is { } refusal)
        {
            return Refuse(refusal);
        }

        if (IsRefused)
        {
            return null; // Its time was up meanwhile.
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

            return Refuse(LoginErrors.NoDatabase.Fields(identity.Database));
        }

        if (_context.Pools.IsDisabled(database.Name))
        {
            return Refuse(LoginErrors.Disabled.Fields(database.Name));
        }

        // PgBouncer: with auth_type any nobody has proved anything, so nobody chooses who he is on the server.
        if (!hasProved && database.ForcedUser == null)
        {
            return Refuse(LoginErrors.AnyNeedsUser.Because($"The entry is \"{database.Name}\"."));
        }

        Writer.WriteAuthenticationOk();
        _welcome = new ClientWelcome(this, _context, _config, identity, database) { ApplicationName = _applicationName, HasLongKey = _hasLongKey };
        return await _welcome.RunAsync(asked);
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
    private async ValueTask<ErrorFields?> AuthenticateAsync(ClientIdentity identity, bool isConsole)
    {
        // PgBouncer: user pgbouncer of our own uid over the Unix socket needs no password.
        if (isConsole && _isUnix && identity.User == PoolerConfig.ConsoleDatabase && Syscalls.PeerUid(Client.Fd) == Syscalls.EffectiveUid())
        {
            return null;
        }

        AuthType type = _config.Get(Settings.AuthType);
        bool isOfConsole = _config.IsAdmin(identity.User) || _config.IsStatsUser(identity.User);
        bool isAllowed = !isConsole || type == AuthType.Any || isOfConsole;
        _isPreferred = isConsole && (_isUnix || (isOfConsole && !_context.Failures.IsSuspect(CountedAddress, Client.Owner.Now)));
        DatabaseConfig? database = isConsole ? null : _config.FindDatabase(identity.Database);
        var authentication = new Authentication(this, _context.Credentials, database) { External = new ExternalLogin(this, _context, database) };
        ErrorFields? refusal = await authentication.RunAsync(type, identity);
        await KeepBackAsync(identity.User, hasProved: refusal == null);
        return refusal ?? (isAllowed ? null : LoginErrors.NotAllowed.Fields());
    }

    /// <summary>Counts the verdict, and keeps it back from whoever has failed too often. Who does not wait for it is told nothing.</summary>
    private async ValueTask KeepBackAsync(string user, bool hasProved)
    {
        if (HasLeft)
        {
            return;
        }

        string address = CountedAddress;
        long now = Client.Owner.Now, delay = _context.Failures.DelayOf(address, user, now);
        if (hasProved)
        {
            _context.Failures.Succeeded(address, user, now);
        }
        else
        {
            _context.Failures.Failed(address, user, now);
        }

        if (delay > 0)
        {
            var pause = new PauseTimer(Client);
            Client.Owner.Wheel.Set(pause, now + delay);
            while (pause.IsSet && !HasLeft)
            {
                await Client.Input.ParkAsync();
            }

            Client.Owner.Wheel.Clear(pause);
        }
    }

    /// <summary>By which failed logins are counted: a proxy's clients each by their own, those of the Unix socket by none.</summary>
    private string CountedAddress => _isUnix ? "" : Client.Name(peer: true).Address;

    /// <summary>The client's address as PgBouncer writes it; of a Unix socket the process, the machine and our port (src/util.c, pga_details).</summary>
    private string DescribePeer()
    {
        (string address, int port) = Client.Name(peer: true);
        return _isUnix ? $"unix({Syscalls.PeerProcess(Client.Fd)}@{Environment.MachineName}):{_config.Get(Settings.ListenPort)}"
            : EndpointText.Join(address, port);
    }

    /// <summary>Why a stranger is refused, for the log: he learns nothing of it.</summary>
    internal void NoteCause(string cause) => _cause = _cause == null ? cause : $"{_cause}; {cause}";

    /// <summary>The login ends with this, unless it ends with something already.</summary>
    internal ClientSession? Refuse(ErrorFields error)
    {
        _refusal ??= error;
        return null;
    }

    /// <summary>From here on the connection speaks TLS, or it ends: in the middle of a handshake there is no answer but TLS's own.</summary>
    internal async ValueTask<bool> StartTlsAsync(ClientTls tls)
    {
        string? certificateProblem = null;
        Tls = TlsHandshake.AsServer(_context.Work, tls.OptionsFor(problem => certificateProblem = problem));
        if (await Tls.RunAsync(Client, () => _refusal == null))
        {
            if (certificateProblem != null)
            {
                Refuse(LoginErrors.BadCertificate.Fields(certificateProblem));
                return false;
            }

            ChannelBinding = tls.EndPoint;
            VerifiedCertificate = tls.ChecksCertificates ? Tls.PeerCertificate : null;
            return true;
        }

        _getsNoAnswer = true;
        Refuse(LoginErrors.TlsFailed.Fields(Tls.Problem));
        Tls.Dispose();
        return false;
    }

    private void GoodBye()
    {
        _context.Sessions.Disconnected();
        if (_refusal is { } refusal && !_isCancel)
        {
            _context.CountRefusal(_identity, refusal);
            string name = _name ?? _context.LogName(Client, _identity);
            _context.NoteEnd(name, refusal.Message, isError: true, (Client.Owner.Now - _startedAt) / 1_000_000, _cause);
            if (!_getsNoAnswer)
            {
                ErrorTrail.Write(Client, refusal);
            }
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

    private sealed class PauseTimer(Connection client) : WheelTimer
    {
        internal override void Expired() => client.Input.Wake();
    }

    private sealed class DeadlineTimer(ClientLogin login) : WheelTimer
    {
        internal override void Expired()
        {
            login.Refuse(login._welcome is { IsWaiting: true } welcome
                ? LoginErrors.ServerDown.Because(login._context.Pools.DescribeWait(welcome), SettingPlace.Of(login._config, Settings.ClientLoginTimeout))
                : LoginErrors.LoginTimeout.Fields());
            login.Client.Input.Wake();
        }
    }
}
