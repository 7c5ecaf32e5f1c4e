using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Microsoft.Extensions.Logging;
using Pooler.Admin;
using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Frontend;
using Pooler.Monitoring;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;
using Pooler.Statements;
using Pooler.Telemetry;

namespace Pooler;

/// <summary>Puts the rooms together: I/O threads, pools, listeners; starts and stops them.</summary>
internal sealed class PoolerService : IDisposable
{
    private readonly LiveConfig _live;
    private readonly ILogger _log;
    private readonly LogOutput? _output;
    private readonly IoThread[] _threads;
    private readonly Clusters _clusters;
    private readonly AdminConsole _console;
    private readonly Dictionary<string, string> _environment;
    private readonly SystemdNotifier _systemd;
    private readonly Shutdown _shutdown;
    private readonly Signals _signals;
    private volatile SocketOptions _clientOptions;
    private readonly ClientKeys _keys;
    private readonly FetchedSecrets _fetched = new();
    private readonly SecretQueries _secretQueries;
    private readonly OAuthTokens _tokens;
    private readonly HostNames _names;
    private readonly ServerPasswords _passwords = new();
    private readonly StatementTables _statements;
    private readonly TraceExport _traces;
    private readonly Peers _peers;
    private readonly LoginContext _context;
    private readonly List<Listener> _listeners = [];
    private readonly List<string> _socketFiles = [];
    private readonly HttpServer _http;
    private readonly OtlpSender _otlp;
    private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _nextThread, _listening;
    private volatile bool _isUp;

    public PoolerService(LiveConfig live, Dictionary<string, string> environment, ILogger log, LogOutput? output = null)
    {
        _output = output;
        _environment = environment;
        _systemd = new SystemdNotifier(environment);
        _live = live;
        _log = log;
        IoThread.DefectLog = what => log.Defect(what);
        PoolerConfig config = live.Current;
        Func<Engine> createEngine = EngineChoice.For(config, log);
        _threads = [.. Enumerable.Range(0, config.WorkerCount).Select(i => new IoThread(i, createEngine))];
        _clientOptions = PoolSource.SocketOptionsOf(config);
        _keys = new ClientKeys();
        _names = new HostNames(live, log);
        Pools pools = null!;
        _clusters = new Clusters(new ClusterFile(live.Current.ClusterStateFile, log), _names, _passwords, log, (cluster, before, after) => pools.HostsChanged(cluster, before, after));
        var source = new PoolSource(live, _keys, _fetched, _clusters, _names, _passwords);
        pools = new Pools(_threads, source, new ServerJournal(live, log));
        _secretQueries = new SecretQueries(_threads[0], live, source, pools.Statements);
        _tokens = new OAuthTokens(log);
        _names.Changed = pools.AddressesChanged;
        var sessions = new SessionTable();
        _statements = new StatementTables(_threads, log);
        _traces = new TraceExport(_statements.Traces, Version, log);
        _peers = new Peers(_threads[0], live, _names);
        var control = new ConfigControl(live, pools, environment, log, Apply);
        _shutdown = new Shutdown(_threads, live, pools, sessions, log, StopListening, () => Volatile.Read(ref _listening) > 0, () => _end.TrySetResult());
        _console = new AdminConsole(_threads, live, _clusters, _names, pools, sessions, _statements, _peers, control, _shutdown, log, Version);
        var readiness = new Readiness(_console, () => _isUp);
        var feed = new PageFeed(new PageReader(_console, readiness), live, output, what => log.Defect(what));
        _http = new HttpServer(
            live,
            [
                new MetricsEndpoint(_console),
                new HealthEndpoint(_threads),
                new ReadinessEndpoint("/readyz", "ready", readiness.Read),
                new ReadinessEndpoint("/startupz", "started", readiness.ReadStart),
                new PageTextEndpoint(live),
                new PageEventsEndpoint(live, feed),
            ],
            log);
        _otlp = new OtlpSender(_console, log);
        _signals = new Signals(control, pools, _shutdown, _systemd, log);
        _context = new LoginContext(live, pools, sessions, new Credentials(live, _keys, _fetched), log, _console.Enter, _console.Cancel, _peers)
        {
            SecretQueries = _secretQueries,
            Statements = _statements,
            Tokens = _tokens,
            IsStopping = isUnix => _shutdown.Mode > StopMode.WaitForClients || (isUnix && _shutdown.Mode != StopMode.None),
        };
    }

    public static string Version { get; } =
        "pooler " + (Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0");

    /// <summary>From the start to the end that a signal or the console asks for; StartException: it could not start.</summary>
    public async Task RunAsync()
    {
        await StartAsync();
        await _end.Task;
        await StopAsync();
    }

    public async Task StartAsync()
    {
        PoolerConfig config = _live.Current;
        foreach (string warning in config.Warnings)
        {
            _log.Warn(warning);
        }

        RaiseDescriptorLimit(config);
        if (!ListenOnHandedOver())
        {
            Listen(config);
        }

        Apply(config);
        foreach (IoThread thread in _threads)
        {
            thread.Start();
        }

        _threads[0].Post(() => _console.Stats.Start(_threads[0], _live, _log));
        _threads[0].Post(new Maintenance(_context.Pools, _names, _threads).Arm);
        _listening = _listeners.Count(static l => !l.IsUnix);
        foreach (Listener listener in _listeners)
        {
            listener.Start();
            _log.Listening(listener.IsUnix ? $"unix:{listener.Name}" : listener.Name);
        }

        _isUp = true;
        await _http.StartAsync(); // Last: clients of PostgreSQL do not wait for it.
        _signals.Register();
        if (config.Get(Settings.PidFile) is { Length: > 0 } pidFile)
        {
            PidFile.Write(pidFile);
        }

        _log.ProcessUp(Version, _threads.Length, Environment.ProcessId);
        _systemd.Ready();
        _systemd.StartWatchdog(_environment, _threads);
        if (Daemon.IsThisProcess)
        {
            Daemon.LetGoOfTerminal();
        }
    }

    public async Task StopAsync()
    {
        _log.Note("stopping");
        _signals.Unregister();
        await _clusters.StopAsync();
        foreach (IoThread thread in _threads)
        {
            thread.Stop(TimeSpan.FromSeconds(2));
        }

        await _traces.StopAsync();
        await _http.DisposeAsync();
        await _otlp.DisposeAsync();

        _socketFiles.ForEach(File.Delete);
        if (_live.Current.Get(Settings.PidFile) is { Length: > 0 } pidFile)
        {
            PidFile.Remove(pidFile);
        }
    }

    public void Dispose() => _systemd.Dispose();

    /// <summary>What a RELOAD or SET changes outside the pools.</summary>
    private void Apply(PoolerConfig config)
    {
        if (_output != null && LogTargets.Open(_output, config) is { } problem)
        {
            _log.Warn(problem);
        }

        if (ExternalLogin.Missing(config) is { } missing)
        {
            _log.Warn(missing);
        }

        SocketOptions options = _clientOptions = PoolSource.SocketOptionsOf(config);
        _threads[0].Post(() => _listeners.ForEach(l => l.HandDown(options)));
        _keys.Keep(config.Secrets, _fetched);
        _context.Credentials.Forget();
        _secretQueries.Reconfigure();
        _clusters.Apply(config);
        _names.Expire();
        _passwords.Expire();
        _tokens.Forget();
        _peers.Apply(config);
        _http.Changed();
        _traces.Apply(config);
        _statements.Apply(config);
        _otlp.Changed();
        LimitLogins(config);
        _context.Sessions.Keys.Node = config.Get(Settings.PeerId);
        int reads = config.Get(Settings.SBufLoopCount);
        int blocks = (int)Math.Clamp(config.Get(Settings.MaxLookaheadMemory) / _threads.Length / BlockPool.BlockSize, 16, int.MaxValue);
        foreach (IoThread thread in _threads)
        {
            thread.Post(() => (thread.ReadsPerTurn, thread.Blocks.Limit) = (reads, blocks));
        }
    }

    private void LimitLogins(PoolerConfig config)
    {
        int limit = config.Get(Settings.LoginWorkLimit) is > 0 and int given ? given : LoginContext.OrdinaryWorkLimit;
        _context.Work.Limit = limit;

        // The pool makes more threads than that only by and by: those that compute shall not be missing to all others.
        ThreadPool.GetMinThreads(out _, out int ports);
        ThreadPool.SetMinThreads(Environment.ProcessorCount + limit + 1, ports);
    }

    /// <summary>The end has been asked for: others may take the port, only the console is still reached, over the Unix socket.</summary>
    private void StopListening()
    {
        _systemd.Stopping();
        _isUp = false;
        bool othersListen = _live.Current.Get(Settings.SoReusePort);
        _threads[0].Post(() => _listeners.Where(static l => !l.IsUnix).ToList().ForEach(l => l.Retire(othersListen, () => Interlocked.Decrement(ref _listening))));
    }

    /// <summary>LISTEN_FDS (sd_listen_fds(3)): sockets that systemd holds for us stand in the place of listen_addr and unix_socket_dir.</summary>
    private bool ListenOnHandedOver()
    {
        const int first = 3;
        if (_environment.GetValueOrDefault("LISTEN_PID") != $"{Environment.ProcessId}"
            || !int.TryParse(_environment.GetValueOrDefault("LISTEN_FDS"), out int count) || count <= 0)
        {
            return false;
        }

        for (int fd = first; fd < first + count; fd++)
        {
            _listeners.Add(Listener.Adopt(_threads[0], fd, Accepted, w => _log.Warn(w))
                ?? throw new StartException($"LISTEN_FDS={count}: descriptor {fd} is no socket"));
        }

        return true;
    }

    private void RaiseDescriptorLimit(PoolerConfig config)
    {
        (long before, long now) = Syscalls.RaiseDescriptorLimit();
        int clients = config.Get(Settings.MaxClientConn);
        _log.DescriptorLimit(now, before, clients);
        if (now >= 0 && now < clients + 100)
        {
            _log.DescriptorLimitLow(now, clients);
        }
    }

    private void Listen(PoolerConfig config)
    {
        int port = config.Get(Settings.ListenPort);
        foreach (string name in config.Get(Settings.ListenAddr))
        {
            ListenOn(AddressesOf(name), port);
        }

        string directory = config.Get(Settings.UnixSocketDir);
        if (directory.Length > 0)
        {
            ListenUnix(directory, port, config);
        }

        if (_listeners.Count == 0)
        {
            throw new StartException("nowhere to listen: set listen_addr or unix_socket_dir");
        }
    }

    /// <summary>What a name stands for; that this machine lacks one of its addresses (localhost without IPv6) only matters if it lacks them all.</summary>
    private void ListenOn(IPAddress[] addresses, int port)
    {
        int missing = 0;
        foreach (IPAddress address in addresses)
        {
            var endpoint = new IPEndPoint(address, port);
            int errno = TryAdd(endpoint);
            missing += errno is Syscalls.EADDRNOTAVAIL or Syscalls.EAFNOSUPPORT ? 1 : 0;
            if (errno != 0 && (errno is not (Syscalls.EADDRNOTAVAIL or Syscalls.EAFNOSUPPORT) || missing == addresses.Length))
            {
                throw new StartException($"cannot listen on {endpoint}: {Syscalls.ErrorText(errno)}");
            }

            if (errno != 0)
            {
                _log.Warn($"cannot listen on {endpoint}: {Syscalls.ErrorText(errno)}");
            }
        }
    }

    private void Add(EndPoint endpoint, Action? bound = null)
    {
        if (TryAdd(endpoint, bound) is not 0 and int errno)
        {
            throw new StartException($"cannot listen on {endpoint}: {Syscalls.ErrorText(errno)}");
        }
    }

    private int TryAdd(EndPoint endpoint, Action? bound = null)
    {
        PoolerConfig config = _live.Current;
        Listener? listener = Listener.Create(
            _threads[0], endpoint, config.Get(Settings.ListenBacklog), config.Get(Settings.TcpDeferAccept), Accepted, w => _log.Warn(w), out int errno,
            config.Get(Settings.SoReusePort), bound);
        if (listener != null)
        {
            _listeners.Add(listener);
        }

        return errno;
    }

    private void ListenUnix(string directory, int port, PoolerConfig config)
    {
        string path = $"{directory}/.s.PGSQL.{port}";
        if (path[0] == '@')
        {
            Add(new UnixDomainSocketEndPoint("\0" + path[1..]));
            return;
        }

        RemoveStale(path);
        Add(new UnixDomainSocketEndPoint(path), () => Protect(path, config));
        _socketFiles.Add(path);
    }

    /// <summary>Who may connect to the socket; the start fails if that cannot be said, for then it might be anybody.</summary>
    private static void Protect(string path, PoolerConfig config)
    {
        if (Syscalls.SetMode(path, config.Get(Settings.UnixSocketMode)) is < 0 and int error)
        {
            File.Delete(path);
            throw new StartException($"unix_socket_mode: cannot set the mode of {path}: {Syscalls.ErrorText(-error)}");
        }

        if (config.Get(Settings.UnixSocketGroup) is { Length: > 0 } group)
        {
            SystemUser.GiveToGroup(path, group);
        }
    }

    /// <summary>A socket file that nobody answers on is left from a process that died.</summary>
    private static void RemoveStale(string path)
    {
        if (!File.Exists(path))
        {
            return;
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException)
        {
            File.Delete(path);
            return;
        }

        throw new StartException($"cannot listen on {path}: another process answers there; choose another listen_port or unix_socket_dir");
    }

    private static IPAddress[] AddressesOf(string name)
    {
        if (name == "*")
        {
            return Socket.OSSupportsIPv6 ? [IPAddress.Any, IPAddress.IPv6Any] : [IPAddress.Any];
        }

        try
        {
            return IPAddress.TryParse(name, out IPAddress? address) ? [address] : Dns.GetHostAddresses(name);
        }
        catch (SocketException e)
        {
            throw new StartException($"listen_addr = {name}: {e.Message}");
        }
    }

    /// <summary>Step 1: the client goes to the next I/O thread and stays there.</summary>
    private void Accepted(int fd, Listener listener)
    {
        IoThread thread = _threads[_nextThread++ % _threads.Length];
        bool isUnix = listener.IsUnix;
        _context.Sessions.Connected();
        if (isUnix)
        {
            _clientOptions.Apply(fd, isUnix);
        }

        if (thread.IsCurrent)
        {
            Login(thread, fd, isUnix);
        }
        else
        {
            thread.Post(() => Login(thread, fd, isUnix));
        }
    }

    private void Login(IoThread thread, int fd, bool isUnix)
    {
        var client = new Connection(thread, fd) { Input = { IsBounded = true } };
        if (client.Open() < 0)
        {
            _context.Sessions.LoginEnded();
            _context.Sessions.Disconnected();
            return;
        }

        _ = new ClientLogin(client, _context, isUnix).RunAsync();
    }
}
