using Pooler.Config;

namespace Pooler.Benchmarks.DataPath;

/// <summary>A folder with a server's Unix socket and the settings of a pooler before it.</summary>
internal sealed class BenchFolder : IDisposable
{
    public const string Database = "bench", User = "bench";
    public const int PoolerPort = 6432;

    private readonly FakePostgres _server;

    public BenchFolder()
    {
        Path = Directory.CreateTempSubdirectory("pooler-bench-").FullName;
        _server = new FakePostgres(Path);
        string file = System.IO.Path.Combine(Path, "pooler.ini");
        File.WriteAllText(System.IO.Path.Combine(Path, "users"), $"\"{User}\" \"\"\n");
        File.WriteAllText(file, $"""
            [databases]
            {Database} = host={Path} port={FakePostgres.Port}
            [pgbouncer]
            listen_addr =
            listen_port = {PoolerPort}
            http_listen_port = 0
            unix_socket_dir = {Path}
            auth_type = trust
            auth_file = {Path}/users
            pool_mode = transaction
            default_pool_size = 1
            workers = 1
            log_connections = 0
            log_disconnections = 0
            """);
        ConfigResult result = ConfigLoader.Load(file, new Dictionary<string, string>());
        Config = result.Config ?? throw new InvalidOperationException(string.Join(Environment.NewLine, result.Errors));
    }

    public string Path { get; }

    public PoolerConfig Config { get; }

    public void Dispose()
    {
        _server.Dispose();
        Directory.Delete(Path, recursive: true);
    }
}
