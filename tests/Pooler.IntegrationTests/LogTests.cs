using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>The log: PgBouncer's lines, which tools grep; JSON; syslog; and that nobody waits for it.</summary>
public sealed class LogTests(PostgresCluster postgres)
{
    private const string Stamp = @"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[\d+\] ";
    private const string Client = "C-0x[0-9a-f]+: ", Server = "S-0x[0-9a-f]+: ";

    /// <summary>Line by line what PgBouncer writes for the same steps.</summary>
    [Fact]
    public async Task LinesAreAsPgBouncers()
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "Debian's is 1.18: its words for SIGINT and its statistics are older");
        string database = await postgres.CreateDatabaseAsync();
        PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["auth_type"] = "md5";
            ini.Settings["stats_period"] = "1";
            ini.Databases["gone"] = "host=127.0.0.1 port=1";
        });
        string user = PostgresCluster.Md5User, name = $"{database}/{user}@", port = @"127\.0\.0\.1:\d+";
        await SeesAsync(pooler, $"LOG listening on 127\\.0\\.0\\.1:{pooler.Port}$", $"LOG listening on unix:{pooler.Folder}/\\.s\\.PGSQL\\.{pooler.Port}$", "LOG process up: pooler ");

        await using (NpgsqlConnection good = await OpenAsync(pooler, database, PostgresCluster.Md5Password))
        {
            await using var command = new NpgsqlCommand("SELECT 1", good);
            await command.ExecuteScalarAsync();
        }

        await SeesAsync(pooler,
            $"LOG {Client}{name}{port} login attempt: db={database} user={user} tls=no$",
            $"LOG {Server}{name}127.0.0.1:{postgres.Port} new connection to server \\(from {port}\\)$",
            $"LOG {Client}{name}{port} closing because: client close request \\(age=\\d+s\\)$",
            @"LOG stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us$");

        await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, database, "wrong", pooler.Folder));
        await SeesAsync(pooler,
            $"LOG {Client}{name}unix\\({Environment.ProcessId}\\):{pooler.Port} closing because: password authentication failed \\(age=0s\\)$",
            $"WARNING {Client}{name}unix\\({Environment.ProcessId}\\):{pooler.Port} pooler error: password authentication failed$");

        await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, "nowhere", PostgresCluster.Md5Password));
        await SeesAsync(pooler, $"LOG {Client}nowhere/{user}@{port} login failed: db=nowhere user={user}$", "LOG .* closing because: no such database: nowhere", "WARNING .* pooler error: no such database: nowhere");

        await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, "gone", PostgresCluster.Md5Password));
        await SeesAsync(pooler, $"WARNING {Server}gone/{user}@127.0.0.1:1 server connect failed: 127.0.0.1:1: Connection refused", $"LOG {Server}gone/{user}@127.0.0.1:1 closing because: connect failed \\(age=0s\\)$");

        await Assert.ThrowsAsync<PostgresException>(() => OpenAsync(pooler, "pgbouncer", PostgresCluster.Md5Password));
        await SeesAsync(pooler, $"LOG {Client}pgbouncer/{user}@{port} closing because: not allowed", "WARNING .* pooler error: not allowed$");

        pooler.Send(ChildProcess.Signal.Hup);
        await SeesAsync(pooler, "LOG got SIGHUP, re-reading config$");
        pooler.Send(ChildProcess.Signal.Usr1);
        await SeesAsync(pooler, "LOG got SIGUSR1, pausing all activity$", $"LOG {Server}{name}127.0.0.1:{postgres.Port} closing because: pause mode");
        pooler.Send(ChildProcess.Signal.Usr2);
        await SeesAsync(pooler, "LOG got SIGUSR2, continuing from PAUSE$");
        pooler.Send(ChildProcess.Signal.Int);
        await SeesAsync(pooler, "LOG got SIGINT, shutting down, waiting for all servers connections to be released$", "LOG server connections dropped, exiting$");
        Assert.True(await pooler.WaitForExitAsync(Patience.Default), pooler.Log);
        await pooler.EndAsync();
    }

    /// <summary>The name of a client in the log is its ptr in SHOW CLIENTS, that of a server its ptr in SHOW SERVERS.</summary>
    [Fact]
    public async Task NamesAreThoseOfTheConsole()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        using PgWire client = await pooler.LoginAsync(database);
        string there = (await pooler.ConsoleAsync("SHOW CLIENTS")).Single(row => row["database"] == database)["ptr"]!;
        string server = (await pooler.ConsoleAsync("SHOW SERVERS")).Single(row => row["database"] == database)["ptr"]!;
        await SeesAsync(pooler, $"C-{there}: {database}/app@.* login attempt", $"S-{server}: {database}/app@.* new connection");
    }

    [Fact]
    public async Task SuspensionEndsWithTheLastConsole()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);
        await TellAsync(pooler, "SUSPEND");
        await SeesAsync(pooler, "LOG SUSPEND command issued$", "LOG admin disappeared when suspended, doing RESUME$");
        await TellAsync(pooler, "RESUME");
        await SeesAsync(pooler, "LOG RESUME command issued$", $"WARNING {Client}pgbouncer/{PoolerIni.Admin}@127\\.0\\.0\\.1:\\d+ pooler error: pooler is not paused/suspended$");
        using PgWire client = await pooler.LoginAsync(database);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
    }

    [Fact]
    public async Task JsonIsAnObjectALine()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["log_format"] = "json");
        using (PgWire strange = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await strange.StartAsync(("user", PostgresCluster.User), ("database", "no\"where\n\u001b[2J"));
        }

        await SeesAsync(pooler, "pooler error: no such database");
        JsonElement[] lines = [.. pooler.LogLines.Select(static line => JsonDocument.Parse(line).RootElement)];
        JsonElement error = lines.Single(static line => line.GetProperty("error_severity").GetString() == "WARNING");
        Assert.Equal("no such database: no\"where\n\u001b[2J", error.GetProperty("error").GetString());
        Assert.Equal(pooler.Id, error.GetProperty("pid").GetInt32());
        Assert.Matches(@"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$", error.GetProperty("timestamp").GetString());
        Assert.EndsWith("pooler error: no such database: no\"where\n\u001b[2J", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal(1, lines.Single(static line => line.GetProperty("message").GetString()!.StartsWith("process up", StringComparison.Ordinal)).GetProperty("workers").GetInt32());

        // A RELOAD takes the other form.
        string file = Path.Combine(pooler.Folder, "pooler.ini");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("log_format = json", "log_format = text", StringComparison.Ordinal));
        await TellAsync(pooler, "RELOAD");
        await TellAsync(pooler, "RECONNECT");
        await SeesAsync(pooler, Stamp + "LOG RECONNECT command issued$");
    }

    [Fact]
    public async Task SyslogIsTold()
    {
        string database = await postgres.CreateDatabaseAsync();
        string folder = OrdinaryUser.CreateFolder(), path = Path.Combine(folder, "log");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["syslog"] = "1";
            ini.Settings["syslog_socket"] = path;
            ini.Settings["syslog_ident"] = "proxy";
            ini.Settings["syslog_facility"] = "local3";
        });
        for (int round = 0; round < 2; round++) // The daemon comes late, and is started anew.
        {
            File.Delete(path);
            using var daemon = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = (int)Patience.Default.TotalMilliseconds };
            daemon.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
            await TellAsync(pooler, "PAUSE nobody");
            string line;
            do
            {
                line = Next(daemon);
            }
            while (!line.Contains("PAUSE", StringComparison.Ordinal));
            Assert.Matches($@"^<158>[A-Z][a-z]{{2}} [ 1-3]\d \d\d:\d\d:\d\d proxy\[{pooler.Id}\]: PAUSE 'nobody' command issued$", line); // local3.info
        }

        Directory.Delete(folder, recursive: true);
    }

    /// <summary>/dev/full takes nothing, and the daemon never reads: clients are served, the log goes on where it can.</summary>
    [Fact]
    public async Task ALogThatCannotBeWrittenStopsNobody()
    {
        string database = await postgres.CreateDatabaseAsync();
        string folder = OrdinaryUser.CreateFolder(), path = Path.Combine(folder, "log");
        using var deaf = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        deaf.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["logfile"] = "/dev/full";
            ini.Settings["syslog"] = "1";
            ini.Settings["syslog_socket"] = path;
        });
        for (int i = 0; i < 1_500; i++)
        {
            using PgWire client = await pooler.LoginAsync(database);
            if (i % 100 == 0)
            {
                Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
            }
        }

        await SeesAsync(pooler, "login attempt");
        Directory.Delete(folder, recursive: true);
    }

    private static async Task TellAsync(PoolerProcess pooler, string command)
    {
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await console.QueryAsync(command);
    }

    private static string Next(Socket socket)
    {
        byte[] buffer = new byte[16_384];
        return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
    }

    private static async Task<NpgsqlConnection> OpenAsync(PoolerProcess pooler, string database, string password, string? host = null)
    {
        var connection = new NpgsqlConnection(pooler.NpgsqlString(database, PostgresCluster.Md5User, password, host) + ";Server Compatibility Mode=NoTypeLoading;SSL Mode=Disable");
        try
        {
            await connection.OpenAsync();
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static async Task SeesAsync(PoolerProcess pooler, params string[] patterns)
    {
        foreach (string pattern in patterns)
        {
            var regex = new Regex(pattern);
            await Eventually.BecomesAsync(pattern, () => Task.FromResult(pooler.Log), _ => pooler.LogLines.Any(regex.IsMatch));
        }
    }
}
