using System.Globalization;
using Npgsql;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A PostgreSQL on a port of its own that a test may kill, promote, part from the others and start again: a primary, a standby, a subscriber.</summary>
internal sealed class PostgresHost : IAsyncDisposable
{
    private ChildProcess? _server;

    private PostgresHost(string folder, int port, bool isGated)
    {
        Folder = folder;
        Port = port;
        Gate = isGated ? new HostGate(port) : null;
    }

    public string Folder { get; }

    /// <summary>PostgreSQL's own.</summary>
    public int Port { get; }

    /// <summary>The network in front of it, if a test wants to part it from all others.</summary>
    public HostGate? Gate { get; }

    /// <summary>Where others find it: pooler, standbys, subscribers.</summary>
    public int PublicPort => Gate?.Port ?? Port;

    private string Data => Path.Combine(Folder, "data");

    /// <summary>A new data set.</summary>
    public static async Task<PostgresHost> CreateAsync(bool isGated = false, string settings = "")
    {
        string folder = OrdinaryUser.CreateFolder();
        await RunAsync(folder, "initdb", "-D", Path.Combine(folder, "data"), "-U", PostgresCluster.Superuser, "-A", "trust", "-E", "UTF8", "--no-locale",
            "--no-sync", "--no-instructions");
        var host = new PostgresHost(folder, FreePort.Next(), isGated);
        await host.ConfigureAsync($"""
            listen_addresses = '127.0.0.1'
            max_connections = 100
            fsync = off
            shared_buffers = '32MB'
            wal_level = logical
            wal_log_hints = on
            wal_keep_size = '128MB'
            wal_retrieve_retry_interval = '100ms'
            hot_standby_feedback = on
            log_min_messages = fatal
            {settings}
            """);
        await host.StartAsync();
        await host.ExecuteAsync($"CREATE ROLE {PostgresCluster.User} LOGIN SUPERUSER");
        return host;
    }

    /// <summary>A streaming standby of the primary, or of another standby, at this port; it takes connections when this returns.</summary>
    public static async Task<PostgresHost> CopyAsync(int port, bool isGated = false, params string[] settings)
    {
        string folder = OrdinaryUser.CreateFolder();
        await RunAsync(folder, "pg_basebackup", "-h", "127.0.0.1", "-p", $"{port}", "-U", PostgresCluster.Superuser, "-D", Path.Combine(folder, "data"),
            "-R", "-X", "stream", "-c", "fast", "--no-sync");
        var host = new PostgresHost(folder, FreePort.Next(), isGated);
        await host.ConfigureAsync(string.Join('\n', settings));
        await host.StartAsync();
        return host;
    }

    public async Task StartAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
        _server = ChildProcess.Start(Folder, Path.Combine(PostgresCluster.Programs, "postgres"), "-D", Data);
        await Eventually.EqualsAsync($"{Port} takes connections", "ready", async () =>
        {
            if (_server.HasExited)
                Assert.Fail($"PostgreSQL ended:\n{_server.Log}");
            try
            {
                await ExecuteAsync("SELECT 1");
                return "ready";
            }
            catch (NpgsqlException fault)
            {
                return fault.Message;
            }
        });
    }

    /// <summary>As a power failure: nothing is said to anybody, and no process is left.</summary>
    public async Task KillAsync()
    {
        string children = await File.ReadAllTextAsync($"/proc/{_server!.Id}/task/{_server.Id}/children");
        _server.Send(ChildProcess.Signal.Kill);
        foreach (string child in children.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            _ = NativeMethods.Kill(int.Parse(child, CultureInfo.InvariantCulture), (int)ChildProcess.Signal.Kill);
        await AwaitEndAsync();
    }

    /// <summary>Fast shutdown: sessions get 57P01, standbys everything that was written.</summary>
    public Task StopAsync() => EndAsync(ChildProcess.Signal.Int);

    /// <summary>Immediate shutdown: sessions get a warning with 57P01, and nothing is written any more.</summary>
    public Task StopAtOnceAsync() => EndAsync(ChildProcess.Signal.Quit);

    /// <summary>A standby becomes primary; it takes writes when this returns.</summary>
    public Task PromoteAsync() => ScalarAsync<bool>("SELECT pg_promote()");

    /// <summary>The same, without waiting.</summary>
    public Task BeginPromotionAsync() => ScalarAsync<bool>("SELECT pg_promote(false)");

    public Task PauseReplayAsync() => ExecuteAsync("SELECT pg_wal_replay_pause()");

    public Task ResumeReplayAsync() => ExecuteAsync("SELECT pg_wal_replay_resume()");

    /// <summary>It streams from another from now on.</summary>
    public async Task FollowAsync(PostgresHost source)
    {
        await WriteSourceAsync(source);
        if (_server is { HasExited: false })
            await ExecuteAsync("SELECT pg_reload_conf()");
    }

    /// <summary>A primary that was replaced, and is stopped or dead, becomes a standby of its successor: what only it had is dropped.</summary>
    public async Task RejoinAsync(PostgresHost successor)
    {
        await successor.ExecuteAsync("CHECKPOINT"); // pg_rewind reads the timeline from the control file, which learns it here.
        await RunAsync(Folder, "pg_rewind", "-D", Data, "--source-server", $"host=127.0.0.1 port={successor.Port} user={PostgresCluster.Superuser} dbname=postgres",
            "--no-sync");
        await ConfigureAsync(""); // It has brought its successor's settings along.
        await WriteSourceAsync(successor);
        await File.WriteAllTextAsync(Path.Combine(Data, "standby.signal"), "");
        await GiveToOrdinaryUserAsync(Path.Combine(Data, "standby.signal"));
        await StartAsync();
    }

    /// <summary>Whom it lets in over TCP, and how; over its Unix socket everybody gets in.</summary>
    public async Task SetHbaAsync(string lines)
    {
        await File.WriteAllTextAsync(Path.Combine(Data, "pg_hba.conf"), "local all all trust\n" + lines);
        await ExecuteAsync("SELECT pg_reload_conf()");
    }

    /// <summary>Settings that a reload brings about.</summary>
    public async Task SetAsync(params string[] settings)
    {
        await File.AppendAllLinesAsync(Path.Combine(Data, "postgresql.auto.conf"), settings);
        await ExecuteAsync("SELECT pg_reload_conf()");
    }

    /// <summary>Waits until it has replayed as far.</summary>
    public Task ReplaysAsync(string lsn) =>
        Eventually.EqualsAsync($"{Port} has replayed {lsn}", true, () => ScalarAsync<bool>($"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"));

    public async Task ExecuteAsync(string sql, string database = PostgresCluster.Superuser)
    {
        await using NpgsqlConnection connection = await OpenAsync(database);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T> ScalarAsync<T>(string sql, string database = PostgresCluster.Superuser)
    {
        await using NpgsqlConnection connection = await OpenAsync(database);
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>A connection of the superuser, to PostgreSQL itself.</summary>
    public async Task<NpgsqlConnection> OpenAsync(string database = PostgresCluster.Superuser)
    {
        var connection = new NpgsqlConnection(
            $"Host=127.0.0.1;Port={Port};Username={PostgresCluster.Superuser};Database={database};Pooling=false;Application Name={PostgresCluster.OwnName};Timeout=15;Command Timeout=60;Server Compatibility Mode=NoTypeLoading");
        await connection.OpenAsync();
        return connection;
    }

    public async ValueTask DisposeAsync()
    {
        if (Gate is not null)
            await Gate.DisposeAsync();
        if (_server is { HasExited: false })
            await EndAsync(ChildProcess.Signal.Quit);
        if (_server is not null)
            await _server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }

    private static async Task RunAsync(string folder, string program, params string[] arguments)
    {
        await using ChildProcess process = ChildProcess.Start(folder, [Path.Combine(PostgresCluster.Programs, program), .. arguments]);
        Assert.True(await process.WaitForExitAsync(Patience.Long) && process.ExitCode == 0, process.Log);
    }

    private static async Task GiveToOrdinaryUserAsync(string path)
    {
        if (OrdinaryUser.Name is { } name)
        {
            using var chown = System.Diagnostics.Process.Start("chown", [name, path]);
            await chown.WaitForExitAsync();
        }
    }

    private Task WriteSourceAsync(PostgresHost source) => File.AppendAllTextAsync(Path.Combine(Data, "postgresql.auto.conf"),
        $"primary_conninfo = 'host=127.0.0.1 port={source.PublicPort} user={PostgresCluster.Superuser}'\n");

    private Task ConfigureAsync(string settings) => File.AppendAllTextAsync(Path.Combine(Data, "postgresql.conf"), $"""
        port = {Port}
        unix_socket_directories = '{Folder}'
        {settings}
        """ + "\n");

    private async Task EndAsync(ChildProcess.Signal signal)
    {
        _server!.Send(signal);
        await AwaitEndAsync();
    }

    private async Task AwaitEndAsync() =>
        Assert.True(await _server!.WaitForExitAsync(Patience.Default), $"PostgreSQL does not end:\n{_server.Log}");
}
