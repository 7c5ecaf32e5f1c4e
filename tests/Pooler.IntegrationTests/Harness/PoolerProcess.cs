using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// The pooler under test: the binary named by POOLER_BINARY, or the one published at artifacts/pooler/pooler.
/// Many tests hold for PgBouncer too, so it can stand there while a test is written.
/// </summary>
internal sealed class PoolerProcess : IAsyncDisposable
{
    private static readonly string[] SignsOfADefect =
        ["Unhandled exception", "unhandled exception", "defect", "Process terminated", "Segmentation fault", "Assertion failed"];

    private readonly ChildProcess _process;
    private bool _ended;

    private PoolerProcess(ChildProcess process, string folder, int port)
    {
        _process = process;
        Folder = folder;
        Port = port;
    }

    public static string Binary { get; } = FindBinary();

    public static bool IsPgBouncer { get; } = Path.GetFileName(Binary) == "pgbouncer";

    public int Id => _process.Id;

    public int Port { get; }

    /// <summary>Its settings, and its Unix socket.</summary>
    public string Folder { get; }

    public EndPoint EndPoint => new IPEndPoint(IPAddress.Loopback, Port);

    public EndPoint UnixEndPoint => new UnixDomainSocketEndPoint(Path.Combine(Folder, $".s.PGSQL.{Port}"));

    public IReadOnlyCollection<string> LogLines => _process.Lines;

    public string Log => _process.Log;

    public long ResidentKilobytes => StatusNumber("VmRSS");

    /// <summary>The highest resident memory since the start.</summary>
    public long PeakResidentKilobytes => StatusNumber("VmHWM");

    public int ThreadCount => (int)StatusNumber("Threads");

    public int FileDescriptorCount => Directory.GetFileSystemEntries($"/proc/{Id}/fd").Length;

    /// <summary>Starts a pooler before one database of the cluster.</summary>
    public static async Task<PoolerProcess> StartAsync(PostgresCluster cluster, string database, string poolMode = "transaction",
        int poolSize = 20, Action<PoolerIni>? adjust = null)
    {
        var ini = new PoolerIni();
        ini.Databases[database] = $"host=127.0.0.1 port={cluster.Port} dbname={database}";
        ini.Settings["pool_mode"] = poolMode;
        ini.Settings["default_pool_size"] = $"{poolSize}";
        adjust?.Invoke(ini);
        return await StartAsync(ini);
    }

    /// <summary>One more on a port where another listens already (so_reuseport).</summary>
    public static async Task<PoolerProcess> StartBesideAsync(PoolerIni ini, int port)
    {
        string folder = OrdinaryUser.CreateFolder();
        string[] command = [.. OrdinaryUser.PrefixWithNetAdmin, RunnableBinary(folder), ini.Write(folder, port)];
        var pooler = new PoolerProcess(ChildProcess.StartAsWeAre(folder, command), folder, port);
        await Eventually.BecomesAsync("the process is up", () => Task.FromResult(pooler.Log), static log => log.Contains("process up:", StringComparison.Ordinal));
        return pooler;
    }

    /// <param name="launcher">A program, and its arguments, that ends in the pooler.</param>
    public static async Task<PoolerProcess> StartAsync(PoolerIni ini, IReadOnlyList<string>? launcher = null)
    {
        for (int attempt = 1; ; attempt++)
        {
            string folder = OrdinaryUser.CreateFolder();
            int port = FreePort.Next();
            ChildProcess process = ChildProcess.Start(folder, [.. launcher ?? [], RunnableBinary(folder), ini.Write(folder, port)]);
            var pooler = new PoolerProcess(process, folder, port);
            if (await pooler.IsListeningAsync())
                return pooler;
            string log = process.Log;
            await process.DisposeAsync();
            Directory.Delete(folder, recursive: true);
            // Another program may have taken the port in between.
            if (attempt == 3 || !log.Contains("in use", StringComparison.OrdinalIgnoreCase))
                Assert.Fail($"{Binary} did not begin to listen:\n{log}");
        }
    }

    /// <summary>Keywords for psql and pgbench.</summary>
    public string LibpqString(string database, string user = PostgresCluster.User, string? password = null) =>
        $"host=127.0.0.1 port={Port} dbname={database} user={user}" + (password is null ? "" : $" password='{password}'");

    /// <summary>For Npgsql: no pool and no automatic preparing of its own, no DISCARD at its close.</summary>
    public string NpgsqlString(string database, string user = PostgresCluster.User, string? password = null, string? host = null) =>
        $"Host={host ?? "127.0.0.1"};Port={Port};Username={user};Database={database};Pooling=false;No Reset On Close=true;Max Auto Prepare=0;Timeout=30;Command Timeout=60"
        + (password is null ? "" : $";Password={password}");

    public async Task<PgWire> LoginAsync(string database, string user = PostgresCluster.User)
    {
        PgWire wire = await PgWire.ConnectAsync(EndPoint);
        await wire.LoginAsync(database, user);
        return wire;
    }

    /// <summary>A connection that has been accepted, and has not said yet who it is.</summary>
    public async Task<PgWire> AcceptedAsync()
    {
        PgWire wire = await PgWire.ConnectAsync(EndPoint);
        byte[] question = new byte[8];
        BinaryPrimitives.WriteInt32BigEndian(question, question.Length);
        BinaryPrimitives.WriteInt32BigEndian(question.AsSpan(4), PgRequest.SslCode);
        await wire.SendAsync(question);
        Assert.Equal('N', await wire.ReadByteAsync());
        return wire;
    }

    /// <summary>The rows of one console command, each a map from column to value.</summary>
    public async Task<List<Dictionary<string, string?>>> ConsoleAsync(string command)
    {
        using PgWire wire = await LoginAsync("pgbouncer", PoolerIni.Admin);
        return (await wire.QueryAsync(command)).ToMaps();
    }

    /// <summary>A console command that answers with no rows and must succeed.</summary>
    public async Task CommandAsync(string command)
    {
        using PgWire wire = await LoginAsync("pgbouncer", PoolerIni.Admin);
        PgReply reply = await wire.QueryAsync(command);
        Assert.True(reply.Error is null, $"{command}: {reply}");
    }

    /// <summary>The counts of one database in SHOW POOLS, summed over its users: clients with work, clients waiting, servers at work.</summary>
    public async Task<PoolCounts> PoolCountsAsync(string database)
    {
        var rows = (await ConsoleAsync("SHOW POOLS")).Where(row => row["database"] == database).ToList();
        int Sum(string column) => rows.Sum(row => int.Parse(row[column]!));
        return new PoolCounts(Sum("cl_active"), Sum("cl_waiting"), Sum("sv_active"), Sum("sv_idle") + Sum("sv_used") + Sum("sv_tested"), Sum("sv_login"));
    }

    internal sealed record PoolCounts(int ClientsActive, int ClientsWaiting, int ServersActive, int ServersFree, int ServersLogin)
    {
        public bool NobodyIsHere => ClientsActive == 0 && ClientsWaiting == 0 && ServersActive == 0;
    }

    public void Send(ChildProcess.Signal signal) => _process.Send(signal);

    public Task<bool> WaitForExitAsync(TimeSpan limit) => _process.WaitForExitAsync(limit);

    public bool IsRunning => !_process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>Ends the pooler at once, as an operator would, and asserts that it did end and told of no defect.</summary>
    public async Task StopAsync()
    {
        if (_ended)
            return;
        _ended = true;
        Assert.False(_process.HasExited, $"the pooler had ended by itself:\n{Log}");
        // PgBouncer before 1.23 knows only SIGTERM for that.
        _process.Send(IsPgBouncer ? ChildProcess.Signal.Term : ChildProcess.Signal.Quit);
        bool ended = await _process.WaitForExitAsync(Patience.Default);
        string log = Log;
        Assert.True(ended, $"the pooler did not end:\n{log}");
        string[] defect = [.. LogLines.SkipWhile(static line => !SignsOfADefect.Any(line.Contains)).Take(20)];
        Assert.True(defect.Length == 0, $"the log tells of a defect:\n{string.Join('\n', defect)}");
    }

    /// <summary>For one that ends by itself: nothing is asserted of its end.</summary>
    public async ValueTask EndAsync()
    {
        _ended = true;
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await StopAsync();
        }
        finally
        {
            await _process.DisposeAsync();
            Directory.Delete(Folder, recursive: true);
        }
    }

    private async Task<bool> IsListeningAsync()
    {
        long start = Environment.TickCount64;
        while (!_process.HasExited && Environment.TickCount64 - start < Patience.Default.TotalMilliseconds)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(EndPoint);
                return true;
            }
            catch (SocketException)
            {
                await Task.Delay(20);
            }
        }

        return false;
    }

    private long StatusNumber(string name)
    {
        string line = File.ReadLines($"/proc/{Id}/status").First(line => line.StartsWith(name + ":", StringComparison.Ordinal));
        return long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1]);
    }

    /// <summary>The binary, or a copy of it where the ordinary user may not go to the original.</summary>
    public static string RunnableBinary(string folder)
    {
        bool reachable = OrdinaryUser.Name is null || Parents(Binary).All(static parent => File.GetUnixFileMode(parent).HasFlag(UnixFileMode.OtherExecute));
        if (reachable)
            return Binary;
        string copy = Path.Combine(folder, Path.GetFileName(Binary));
        File.Copy(Binary, copy);
        File.SetUnixFileMode(copy, (UnixFileMode)0b111_101_101);
        return copy;
    }

    private static IEnumerable<string> Parents(string path)
    {
        for (string? at = path; at is not null; at = Path.GetDirectoryName(at))
            yield return at;
    }

    private static string FindBinary()
    {
        string? path = Environment.GetEnvironmentVariable("POOLER_BINARY");
        if (string.IsNullOrEmpty(path))
            path = Repository.PathOf("artifacts", "pooler", "pooler");
        path = Path.GetFullPath(path);
        if (!File.Exists(path))
            throw new FileNotFoundException($"no pooler to test: {path} (publish it, or set POOLER_BINARY)");
        return path;
    }
}
