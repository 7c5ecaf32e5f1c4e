using System.Collections.Immutable;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// One connection to PostgreSQL: connect, login, then a reader loop that hands what arrives to its <see cref="ServerOwner"/>
/// of the moment. Lives on one I/O thread at a time.
/// </summary>
internal sealed class ServerConnection
{
    private readonly Action<ServerConnection> _loggedIn;
    private readonly ConnectTimer _connectTimer;
    private IoThread _thread;
    private Connection? _socket;
    private Question<NameAnswer>? _question;
    private Question<PasswordAnswer>? _passwordQuestion;
    private PasswordAnswer? _password;
    private bool _closing, _isEncrypting;

    public ServerConnection(IoThread thread, ServerTarget target, HostAddress host, ServerOwner owner, StatementCatalogue catalogue, Action<ServerConnection> loggedIn)
    {
        Statements = new ServerStatements(catalogue);
        _thread = thread;
        Target = target;
        Host = host;
        Owner = owner;
        _loggedIn = loggedIn;
        _connectTimer = new ConnectTimer(this);
        StartedAt = thread.Now;
    }

    public ServerTarget Target { get; }

    /// <summary>What to log in with; empty: nothing is known.</summary>
    public string Secret => _password?.Password ?? Target.Secret ?? "";

    /// <summary>
    /// Its host could be written to and must not be (a logical subscriber): default_transaction_read_only is on, whatever its clients
    /// have set for themselves.
    /// </summary>
    public bool IsReadOnly { get; init; }

    /// <summary>The host of the target it goes to.</summary>
    public HostAddress Host { get; }

    /// <summary>The address it was connected to: where its cancel requests go.</summary>
    public System.Net.SocketAddress? Address { get; private set; }

    /// <summary>Its host has a name that stands for other addresses by now.</summary>
    public bool IsObsolete => Host.IsName && !IsAtOneOf(Target.Names.LastOf(Host.Name));

    /// <summary>Who gets the next bytes. Whoever sets it has taken the server over.</summary>
    public ServerOwner Owner { get; set; }

    public IoThread Thread => _socket?.Owner ?? _thread;

    /// <summary>The socket; only after <see cref="IsLoggedIn"/>, or while connecting for the login itself.</summary>
    public Connection Socket => _socket!;

    public Outbox Outbox => _socket!.Outbox;

    /// <summary>What SCRAM is bound to (tls-server-end-point); null: nothing.</summary>
    public byte[]? ChannelBinding { get; private set; }

    public bool IsLoggedIn { get; private set; }

    public bool IsClosed { get; private set; }

    /// <summary>Thread clock, microseconds, when the connect began.</summary>
    public long StartedAt { get; }

    /// <summary>The client whose unnamed prepared statement it has, by the number of its connection; 0: nobody's, or nobody knows.</summary>
    public long UnnamedOf { get; set; }

    /// <summary>IoThread.Clock when the login was through: it is of the postmaster that was running then.</summary>
    public long LoggedInAt { get; private set; }

    /// <summary>All settings the server reported at login, in its order: what a client is told when it is welcomed.</summary>
    public List<KeyValuePair<string, string>> Welcome { get; } = [];

    /// <summary>The tracked settings as this server has them now, and as it had them after login.</summary>
    public SessionParameters Parameters { get; set; } = SessionParameters.Empty;

    public SessionParameters LoginParameters { get; private set; } = SessionParameters.Empty;

    /// <summary>
    /// What startup parameters of clients have changed on it beyond what it reports; null while nobody knows: statements of ours
    /// that change it are under way.
    /// </summary>
    public StartupParameters? Startup { get; set; } = StartupParameters.Empty;

    /// <summary>The backend's key for CancelRequest.</summary>
    public int ProcessId { get; internal set; }

    public byte[] CancelSecret { get; internal set; } = [];

    /// <summary>CancelRequests under way to it: whatever it runs now may be hit, so nobody else gets it (architecture rule 3).</summary>
    public int CancelsInFlight { get; internal set; }

    /// <summary>A CancelRequest went out and nobody knows what became of it: this server is not used again.</summary>
    public bool IsCancelDoubtful { get; internal set; }

    /// <summary>The last ReadyForQuery status: I, T or E.</summary>
    public byte Status { get; set; }

    /// <summary>It may hold session state we do not carry: it is reset before the next client (architecture rule 10).</summary>
    public bool IsDirty { get; private set; }

    /// <summary>Counts the signs of such state, of its end too.</summary>
    public int Signs { get; private set; }

    public bool NeedsReset => IsDirty || Startup == null;

    /// <summary>The shared prepared statements it holds.</summary>
    public ServerStatements Statements { get; }

    /// <summary>Bytes still to come of the frame whose front was already handed on.</summary>
    public long FrameRemaining { get; set; }

    /// <summary>The first error of a query of ours that is let pass (connect_query).</summary>
    public ErrorFields? Complaint { get; internal set; }

    /// <summary>Why it ended: the server's own FATAL, or what we say of it.</summary>
    public ErrorFields? Failure { get; private set; }

    /// <summary>The other side ended it or never took it, without a word of its own.</summary>
    public bool WasLost { get; internal set; }

    /// <summary>Whether it is connected to one of these addresses of its host; none known counts as yes.</summary>
    public bool IsAtOneOf(ImmutableArray<System.Net.IPAddress> addresses) => addresses.IsEmpty || Address == null || addresses.Select(AddressOf).Contains(Address);

    public void Start() => _ = RunAsync();

    /// <summary>There is a sign of session state we do not carry.</summary>
    public void MarkDirty()
    {
        IsDirty = true;
        Signs++;
    }

    /// <summary>DISCARD ALL has run.</summary>
    public void MarkClean()
    {
        IsDirty = false;
        Startup = StartupParameters.Empty;
    }

    /// <summary>Ends the connection; the first reason stays. The owner learns it from the reader loop.</summary>
    public void Close(string reason) => Close(ServerErrors.CannotBeUsed.Fields(reason));

    /// <summary>Whoever is told of it learns which server it was.</summary>
    public void Close(ErrorFields failure)
    {
        Failure ??= failure with { Detail = $"{(failure.Detail is { } detail ? detail + " " : "")}{Name}" };
        _closing = true;
        _question?.GiveUp(NameAnswer.GivenUp);
        _passwordQuestion?.GiveUp(PasswordAnswer.GivenUp);
        _socket?.Close();
    }

    /// <summary>Says goodbye and closes: for a server that is idle and in step.</summary>
    public void Terminate(string reason)
    {
        new MessageWriter(Outbox).WriteTerminate();
        Outbox.Flush();
        Close(reason);
    }

    /// <summary>
    /// A ParameterStatus of the server: our record of it follows. Returns the index of a tracked name, else -1. One that makes
    /// no sense closes the server: what it has set nobody would know.
    /// </summary>
    public int Record(ReadOnlySpan<byte> body, out string value)
    {
        value = "";
        int end = body.IndexOf((byte)0);
        ReadOnlySpan<byte> text = end < 0 ? default : body[(end + 1)..];
        if (end <= 0 || text.IsEmpty || text.IndexOf((byte)0) != text.Length - 1)
        {
            Close(ServerErrors.Violation.Fields("malformed ParameterStatus from server"));
            return -1;
        }

        int index = SessionParameters.IndexOf(body[..end]);
        if (index >= 0)
        {
            value = System.Text.Encoding.UTF8.GetString(text[..^1]);
            Parameters = Parameters.With(index, value, reported: true);
            if (value.Contains('\uFFFD'))
            {
                MarkDirty(); // In no encoding that we read: nobody could set it again.
            }
        }

        return index;
    }

    /// <summary>For people, and without a secret.</summary>
    private string Name => ProcessId != 0 ? $"The server is {Host}, process {ProcessId}, user \"{Target.User}\", database \"{Target.Database}\"."
        : $"The server is {Host}, user \"{Target.User}\", database \"{Target.Database}\".";

    /// <summary>How far a login has come.</summary>
    private string Progress => _socket == null ? "the name of the host was being looked up"
        : _socket.IsConnecting ? "the connection was not taken"
        : _isEncrypting ? "the connection was taken, and SSLRequest or the TLS handshake (server_tls_sslmode) not answered"
        : "the connection was taken, and the login not finished";

    /// <summary>The values after login are the state a reset brings back.</summary>
    internal void RememberLogin() => LoginParameters = Parameters;

    private async Task RunAsync()
    {
        try
        {
            await FindPasswordAsync();
            await LogInAsync();
            _thread.Wheel.Clear(_connectTimer);
            _password = null; // Servers live long, and nobody needs it any more.
            if (!_closing)
            {
                IsLoggedIn = true;
                LoggedInAt = IoThread.Clock();
                _loggedIn(this);
                if (_socket!.Input.UnreadLength > 0)
                {
                    _socket.Input.Wake(); // What came right behind the welcome is nobody's reply: its owner looks at it now.
                }
            }

            // The reader loop stands here and not in a method of its own: awaiting that would bind the rest of this one to
            // the thread it began on, and a server moves.
            while (!_closing)
            {
                ConnectionInput input = Socket.Input;
                await input.WaitAsync();
                if (!HandOver(input))
                {
                    break;
                }

                // Back-pressure: read on when the other side has taken what it was given (architecture rule 8).
                while (!_closing && Owner.BlockedBy is { } outbox)
                {
                    outbox.WakeWhenDrained(input);
                    await input.ParkAsync();
                }
            }
        }
        catch (Exception e)
        {
            IoThread.Defect($"Server connection: {e}");
            Close(ServerErrors.Internal.Fields());
        }

        Thread.Wheel.Clear(_connectTimer);
        IsClosed = true;
        if (!IsLoggedIn)
        {
            Target.Failed(Host);
        }

        _socket?.Close();
        _socket?.Input.Complete();
        Owner.Closed(this);
        Statements.Clear();
    }

    /// <summary>
    /// Some servers refuse a newer protocol instead of naming theirs. If it was that, they are asked for 3.0 from now on. A kept password
    /// that is refused is replaced once: there is no end of passwords that are wrong.
    /// </summary>
    private async ValueTask LogInAsync()
    {
        int minor = Target.Minor;
        bool mayAsk = true;
        while (!_closing)
        {
            await ConnectAsync();
            LoginEnd end = _closing ? LoginEnd.Settled : await new ServerLogin(this, minor, mayAsk && _password is { IsKept: true }).RunAsync();
            if (end == LoginEnd.Settled)
            {
                break;
            }

            if (end == LoginEnd.AskForPassword)
            {
                mayAsk = false;
                await FindPasswordAsync();
            }
            else
            {
                minor = 0;
            }
        }

        if (!_closing && minor == 0)
        {
            Target.Minor = 0;
        }
    }

    /// <summary>What password_command prints, if there is one; the one that was refused is forgotten.</summary>
    private async ValueTask FindPasswordAsync()
    {
        if (_closing || Target.PasswordCommandOf(Host) is not { } command)
        {
            return;
        }

        SetDeadline();
        if (_password?.Password is { } refused)
        {
            Target.Passwords.Forget(command, refused);
        }

        _passwordQuestion = new Question<PasswordAnswer>(_thread);
        _password = await _passwordQuestion.AskAsync(done => Target.Passwords.Ask(command, done));
        _passwordQuestion = null;
        if (_password.Problem is { } problem && !_closing)
        {
            Close(ServerErrors.PasswordCommandFailed.Fields(problem));
        }
    }

    private void SetDeadline()
    {
        if (Target.ConnectTimeout > TimeSpan.Zero)
        {
            _thread.Wheel.Set(_connectTimer, _thread.Now + (long)Target.ConnectTimeout.TotalMicroseconds);
        }
    }

    private async ValueTask ConnectAsync()
    {
        SetDeadline();

        // A name may have several addresses: where one cannot be connected to, the next is tried (PgBouncer: at the next connect).
        int error = 0;
        ImmutableArray<System.Net.SocketAddress> addresses = await FindAddressesAsync();
        for (int i = 0; i < addresses.Length && !_closing && (i == 0 || error != 0); i++)
        {
            error = await ConnectToAsync(addresses[i]);
        }

        if (error != 0)
        {
            WasLost = true;
            Close(ServerErrors.ConnectFailed.Fields(Host, Syscalls.ErrorText(error)));
        }
        else if (!_closing)
        {
            await EncryptAsync();
        }
    }

    private async ValueTask EncryptAsync()
    {
        var encryption = new ServerEncryption(Target, Host);
        _isEncrypting = true;
        string? problem = await encryption.BeginAsync(_socket!);
        _isEncrypting = false;
        ChannelBinding = encryption.ChannelBinding;
        if (problem != null && !_closing)
        {
            WasLost |= _socket!.Input.IsEnded;
            Close(ServerErrors.EncryptionFailed.Fields(Host, problem));
        }
    }

    private async ValueTask<ImmutableArray<System.Net.SocketAddress>> FindAddressesAsync()
    {
        if (Target.LiteralAddress(Host) is { } literal)
        {
            return [literal];
        }

        _question = new Question<NameAnswer>(_thread);
        NameAnswer answer = await _question.AskAsync(done => Target.Names.Ask(Host.Name, done));
        _question = null;
        if (answer.Addresses.IsEmpty && !_closing)
        {
            WasLost = true;
            Close(ServerErrors.LookupFailed.Fields(Host.Name, answer.Problem));
        }

        return [.. answer.Addresses.Select(AddressOf)];
    }

    private System.Net.SocketAddress AddressOf(System.Net.IPAddress address) => new System.Net.IPEndPoint(address, Host.Port).Serialize();

    /// <summary>0, or the errno.</summary>
    private async ValueTask<int> ConnectToAsync(System.Net.SocketAddress address)
    {
        _socket?.Close();
        _socket?.Input.Complete();
        Address = address;
        _socket = Connection.Connect(_thread, address, Target.Options, out int error);
        while (_socket is { IsConnecting: true, IsClosed: false } && error == 0)
        {
            await _socket.Input.ParkAsync();
            error = _socket.Error;
        }

        return error;
    }

    /// <summary>Hands what was received to the owner of the moment; false when the connection is to end.</summary>
    private bool HandOver(ConnectionInput input)
    {
        while (input.UnreadLength > 0 && !_closing)
        {
            int used = Owner.Receive(this, input.Unread);
            if (used == 0 || _closing)
            {
                break;
            }

            input.Advance(used);
        }

        if (_closing)
        {
            return false;
        }

        input.Advance(0);
        if (input.IsEnded)
        {
            WasLost = true;
            Close(ServerErrors.Crashed.Fields());
        }

        return !_closing;
    }

    private sealed class ConnectTimer(ServerConnection server) : WheelTimer
    {
        internal override void Expired()
        {
            if (server._passwordQuestion != null)
            {
                server.Close(ServerErrors.PasswordCommandTimeout.Fields());
                return;
            }

            server.WasLost = true;
            string limit = Settings.ServerConnectTimeout.Format(server.Target.ConnectTimeout)!;
            server.Close(ServerErrors.ConnectTimeout.Because($"Waited {limit} s; {server.Progress}.", SettingPlace.Global(Settings.ServerConnectTimeout, limit)));
        }
    }
}
