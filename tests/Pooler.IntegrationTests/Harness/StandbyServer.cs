using Npgsql;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A streaming standby of a PostgreSQL of the tests (pg_basebackup over loopback), ended and removed with it.</summary>
internal sealed class StandbyServer : IAsyncDisposable
{
    private readonly ChildProcess _server;

    private StandbyServer(ChildProcess server, int port, string folder)
    {
        _server = server;
        Port = port;
        Folder = folder;
    }

    public int Port { get; }

    public string Folder { get; }

    /// <summary>Copies the primary and starts the copy as its standby; it takes connections when this returns.</summary>
    public static async Task<StandbyServer> StartAsync(PostgresCluster primary, params string[] settings)
    {
        string folder = OrdinaryUser.CreateFolder();
        string data = Path.Combine(folder, "data");
        await using (ChildProcess backup = ChildProcess.Start(folder, Path.Combine(PostgresCluster.Programs, "pg_basebackup"),
            "-h", "127.0.0.1", "-p", primary.Port.ToString(), "-U", PostgresCluster.Superuser, "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync"))
        {
            Assert.True(await backup.WaitForExitAsync(Patience.Long) && backup.ExitCode == 0, backup.Log);
        }

        int port = FreePort.Next();
        await File.AppendAllTextAsync(Path.Combine(data, "postgresql.conf"), $"""
            port = {port}
            unix_socket_directories = '{folder}'
            """ + "\n" + string.Join('\n', settings) + "\n");
        var standby = new StandbyServer(ChildProcess.Start(folder, Path.Combine(PostgresCluster.Programs, "postgres"), "-D", data), port, folder);
        await standby.WaitUntilReadyAsync();
        return standby;
    }

    /// <summary>Connection string of the superuser.</summary>
    public string Direct(string database) =>
        $"Host=127.0.0.1;Port={Port};Username={PostgresCluster.Superuser};Database={database};Pooling=false;Application Name={PostgresCluster.OwnName};Timeout=15;Command Timeout=60;Server Compatibility Mode=NoTypeLoading";

    public async Task<T> ScalarAsync<T>(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(Direct(database));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Waits until it has replayed what the primary has written by now.</summary>
    public async Task CatchUpAsync(PostgresCluster primary)
    {
        string end = await primary.ScalarAsync<string>(PostgresCluster.Superuser, "SELECT pg_current_wal_insert_lsn()::text");
        await Eventually.EqualsAsync($"the standby has replayed {end}", true,
            () => ScalarAsync<bool>(PostgresCluster.Superuser, $"SELECT pg_last_wal_replay_lsn() >= '{end}'"));
    }

    public async ValueTask DisposeAsync()
    {
        _server.Send(ChildProcess.Signal.Quit);
        await _server.WaitForExitAsync(Patience.Default);
        await _server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }

    private async Task WaitUntilReadyAsync() =>
        await Eventually.EqualsAsync("the standby takes connections", "ready", async () =>
        {
            if (_server.HasExited)
                Assert.Fail($"the standby ended:\n{_server.Log}");
            try
            {
                return await ScalarAsync<bool>(PostgresCluster.Superuser, "SELECT pg_is_in_recovery()") ? "ready" : "not in recovery";
            }
            catch (NpgsqlException fault)
            {
                return fault.Message;
            }
        });
}
