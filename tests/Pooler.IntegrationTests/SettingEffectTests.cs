using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>Settings that no other theme has: each does what its sentence says.</summary>
public sealed partial class SettingEffectTests(PostgresCluster postgres)
{
    /// <summary>Without a limit a slow connect_query is waited for.</summary>
    [Fact]
    public async Task WithoutServerConnectTimeoutConnectQueryMayTakeItsTime()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["server_connect_timeout"] = "0";
            ini.Databases[database] += " connect_query='SELECT pg_sleep(0.3)'";
        });
        using PgWire client = await pooler.LoginAsync(database);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Single(pooler.LogLines, static line => line.Contains("new connection to server", StringComparison.Ordinal));
    }

    /// <summary>What an entry says of its servers: their settings, a query of their own, whose errors are ignored, and a password.</summary>
    [Fact]
    public async Task AnEntrySetsUpItsServers()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases[database] += " client_encoding=LATIN1 datestyle='SQL, DMY' timezone='Asia/Tokyo' application_name='of the entry' connect_query='SELECT 1/0'";
            ini.Databases["forced"] = $"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.ScramUser} password='{PostgresCluster.ScramPassword}' "
                + "connect_query='SET lock_timeout TO ''7s'''";
            ini.Settings["server_reset_query"] = "";
        });
        using PgWire client = await pooler.LoginAsync(database), forced = await pooler.LoginAsync("forced");
        Assert.Equal("LATIN1|SQL, DMY|Asia/Tokyo|of the entry", (await client.QueryAsync(
            "SELECT current_setting('client_encoding') || '|' || current_setting('DateStyle') || '|' || current_setting('TimeZone') || '|' || current_setting('application_name')")).Scalar);
        Assert.Equal($"{PostgresCluster.ScramUser} 7s", (await forced.QueryAsync("SELECT current_user || ' ' || current_setting('lock_timeout')")).Scalar);
        await Eventually.EqualsAsync("its error is logged", true, () => Task.FromResult(pooler.LogLines.Any(static line => line.Contains("division by zero", StringComparison.Ordinal))));
    }

    [Fact]
    public async Task WithDisablePqexecOnlyTheExtendedProtocolWorks()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["disable_pqexec"] = "1");
        using PgWire extended = await pooler.LoginAsync(database), simple = await pooler.LoginAsync(database);
        await extended.SendAsync(new PgRequest().Parse("", "SELECT 'works'").Bind("", "").Execute().Sync());
        Assert.Equal("works", (await extended.ReadReplyAsync()).Scalar);
        await simple.SendAsync(new PgRequest().Query("SELECT 1; SELECT 2"));
        await simple.AssertFatalAsync("PQexec disallowed");
    }

    [Fact]
    public async Task AMessageBeyondMaxPacketSizeEndsItsClient()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["max_packet_size"] = "1000");
        using PgWire client = await pooler.LoginAsync(database);
        Assert.Equal("1", (await client.QueryAsync($"SELECT 1 -- {new string('x', 900)}")).Scalar);
        await client.SendAsync(new PgRequest().Query($"SELECT 1 -- {new string('x', 1100)}"));
        await client.AssertFatalAsync("packet too large (max_packet_size)");
    }

    /// <summary>The next RELOAD reads another file; what that one says of conffile counts from then on.</summary>
    [Fact]
    public async Task ConffileIsReadByTheNextReload()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 3);
        string first = Path.Combine(pooler.Folder, "pooler.ini"), second = Path.Combine(pooler.Folder, "second.ini");
        string text = await File.ReadAllTextAsync(first);
        await File.WriteAllTextAsync(second, text.Replace("default_pool_size = 3", "default_pool_size = 4", StringComparison.Ordinal));
        await pooler.CommandAsync($"SET conffile = '{second}'");
        Assert.Equal("3", await ConfigAsync(pooler, "default_pool_size"));
        await pooler.CommandAsync("RELOAD");
        Assert.Equal(("4", second), (await ConfigAsync(pooler, "default_pool_size"), await ConfigAsync(pooler, "conffile")));
        await File.AppendAllTextAsync(second, $"conffile = {first}\n");
        await pooler.CommandAsync("RELOAD");
        await pooler.CommandAsync("RELOAD");
        Assert.Equal(("3", first), (await ConfigAsync(pooler, "default_pool_size"), await ConfigAsync(pooler, "conffile")));
    }

    [Fact]
    public async Task ScramIterationsAreWhatClientsAreAskedFor()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["auth_type"] = "scram-sha-256";
            ini.Settings["scram_iterations"] = "1234";
            ini.Passwords[PostgresCluster.User] = "clear text";
        });
        using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
        await client.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database)));
        Assert.Equal(10, BinaryPrimitives.ReadInt32BigEndian((await client.ReadAsync())!.Value.Body));
        await client.SendAsync(new PgRequest().Message('p', static body =>
        {
            PgRequest.WriteText(body, "SCRAM-SHA-256");
            const string first = "n,,n=,r=abcdefgh";
            PgRequest.WriteInt32(body, first.Length);
            body.Write(Encoding.ASCII.GetBytes(first));
        }));
        Assert.EndsWith(",i=1234", (await client.ReadAsync())!.Value.Text(), StringComparison.Ordinal);
    }

    /// <summary>tcp_* as the kernel has them on the sockets of clients and servers.</summary>
    [Fact]
    public async Task SocketsHaveTheirOptions()
    {
        string database = await postgres.CreateDatabaseAsync();
        CommandLine.Result able = await CommandLine.RunAsync("sh", ["-c", "command -v ss"]);
        Assert.SkipUnless(able.ExitCode == 0, "needs ss (Debian's package iproute2)");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["tcp_keepidle"] = "7000";
            ini.Settings["tcp_socket_buffer"] = "20000";
        });
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        foreach (string filter in (string[])[$"sport = :{pooler.Port}", $"dport = :{postgres.Port}"])
        {
            // While something is not acknowledged another timer is shown.
            string[] sockets = await Eventually.BecomesAsync("sockets are quiet", () => SocketsAsync(pooler, filter), static all => all.Length > 0 && all.All(static one => one.Contains("timer:(keepalive,", StringComparison.Ordinal)));
            Assert.All(sockets, static socket => Assert.Matches(@"timer:\(keepalive,1(1[0-9]min|hr|\.)", socket));
            Assert.All(sockets, static socket => Assert.Equal("40000", ReceiveBuffer().Match(socket).Groups[1].Value)); // The kernel doubles it.
        }
    }

    private static async Task<string[]> SocketsAsync(PoolerProcess pooler, string filter) =>
        [.. (await CommandLine.RunAsync("ss", ["-Htnopm", "state", "established", filter])).Output.Replace("\n\t", " ", StringComparison.Ordinal).Split('\n')
            .Where(line => line.Contains($"pid={pooler.Id},", StringComparison.Ordinal))];

    private static async Task<string?> ConfigAsync(PoolerProcess pooler, string key) => (await pooler.ConsoleAsync("SHOW CONFIG")).Single(row => row["key"] == key)["value"];

    [GeneratedRegex(@"skmem:\(r\d+,rb(\d+)")]
    private static partial Regex ReceiveBuffer();
}
