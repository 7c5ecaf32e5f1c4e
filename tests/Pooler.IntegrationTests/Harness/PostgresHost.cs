using Npgsql;

namespace Pooler.IntegrationTests.Harness;

/// <summary>One host of a <see cref="ReplicaSet"/>: a data folder that can be started, killed, promoted and started again on its port.</summary>
internal sealed class PostgresHost : IAsyncDisposable
{
    private ChildProcess? _server;

    private PostgresHost(string folder, int port)
    {
        Folder = folder;
        Port = port;
    }

    public string Folder { get; }

    public int Port { get; }

    private string Data => Path.Combine(Folder, "data");

    /// <summary>A new data set.</summary>
    public static async Task<PostgresHost> CreateAsync()
    {
        string folder = OrdinaryUser.CreateFolder();
        await RunAsync(folder, "initdb", "-D", Path.Combine(folder, "data"), "-U", PostgresCluster.Superuser, "-A", "trust", "-E", "UTF8", "--no-locale",
            "--no-sync", "--no-instructions");
        var host = new PostgresHost(folder, FreePort.Next());
        await host.ConfigureAsync("""
            listen_addresses = '127.0.0.1'
            max_connections = 100
            fsync = off
            shared_buffers = '32MB'
            wal_level = logical
            hot_standby_feedback = on
            log_min_messages = fatal
            """);
        await host.StartAsync();
        await host.ExecuteAsync($"CREATE ROLE {PostgresCluster.User} LOGIN SUPERUSER");
        return host;
    }

    /// <summary>A streaming standby of another.</summary>
    public static async Task<PostgresHost> CopyAsync(PostgresHost primary)
    {
        string folder = OrdinaryUser.CreateFolder();
        await RunAsync(folder, "pg_basebackup", "-h", "127.0.0.1", "-p", $"{primary.Port}", "-U", PostgresCluster.Superuser, "-D", Path.Combine(folder, "data"),
            "-R", "-X", "stream", "-c", "fast", "--no-sync");
        var host = new PostgresHost(folder, FreePort.Next());
        await host.ConfigureAsync("");
        await host.StartAsync();
        return host;
    }

    public async Task StartAsync()
    {
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

    /// <summary>As a power failure: nothing is said to anybody.</summary>
    public Task KillAsync() => EndAsync(ChildProcess.Signal.Kill);

    /// <summary>Fast shutdown: sessions get 57P01.</summary>
    public Task StopAsync() => EndAsync(ChildProcess.Signal.Int);

    public Task PromoteAsync() => ScalarAsync<bool>("SELECT pg_promote()");

    public async Task ExecuteAsync(string sql)
    {
        await using NpgsqlConnection connection = await OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using NpgsqlConnection connection = await OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    public async ValueTask DisposeAsync()
    {
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

    private Task ConfigureAsync(string settings) => File.AppendAllTextAsync(Path.Combine(Data, "postgresql.conf"), $"""
        port = {Port}
        unix_socket_directories = '{Folder}'
        {settings}
        """ + "\n");

    private async Task EndAsync(ChildProcess.Signal signal)
    {
        _server!.Send(signal);
        Assert.True(await _server.WaitForExitAsync(Patience.Default), $"PostgreSQL does not end:\n{_server.Log}");
    }

    private async Task<NpgsqlConnection> OpenAsync()
    {
        var connection = new NpgsqlConnection(
            $"Host=127.0.0.1;Port={Port};Username={PostgresCluster.Superuser};Database=postgres;Pooling=false;Application Name={PostgresCluster.OwnName};Timeout=15;Command Timeout=60;Server Compatibility Mode=NoTypeLoading");
        await connection.OpenAsync();
        return connection;
    }
}
