using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>The same short walk before every version of PostgreSQL that is there, two servers for all clients.</summary>
public sealed class PostgresVersionsTests(PostgresVersions versions)
{
    public static readonly TheoryData<int> Versions = [15, 16, 17, 18];

    /// <summary>Passwords on both sides, and everything a common driver sends.</summary>
    [Theory, MemberData(nameof(Versions))]
    public Task ADriverWithAPassword(int version) => WithPoolerAsync(version, "scram-sha-256", async (_, pooler, database) =>
    {
        string text = pooler.NpgsqlString(database, PostgresCluster.ScramUser, PostgresCluster.ScramPassword);
        await using (var stranger = new NpgsqlConnection(text.Replace(PostgresCluster.ScramPassword, "wrong", StringComparison.Ordinal)))
            Assert.Equal(PostgresErrorCodes.InvalidPassword, (await Assert.ThrowsAsync<PostgresException>(() => stranger.OpenAsync())).SqlState);
        await using var one = new NpgsqlConnection(text);
        await using var two = new NpgsqlConnection(text);
        await using var three = new NpgsqlConnection(text);
        NpgsqlConnection[] all = [one, two, three];
        foreach (NpgsqlConnection connection in all)
            await connection.OpenAsync();
        Assert.Equal(version, one.PostgreSqlVersion.Major);
        Assert.Equal(version, await ScalarAsync<int>(two, "SELECT current_setting('server_version_num')::int / 10000"));
        Assert.Equal(PostgresCluster.ScramUser, await ScalarAsync<string>(three, "SELECT current_user::text"));

        await RunAsync(one, "CREATE TABLE kept (id int PRIMARY KEY, word text)");
        var inserts = all.Select(static connection => new NpgsqlCommand("INSERT INTO kept VALUES ($1, $2)", connection)
        {
            Parameters = { new NpgsqlParameter<int>(), new NpgsqlParameter<string>() },
        }).ToList();
        foreach (NpgsqlCommand insert in inserts)
            await insert.PrepareAsync();
        for (int i = 0; i < 30; i++)
        {
            await using NpgsqlTransaction transaction = await all[i % 3].BeginTransactionAsync();
            inserts[i % 3].Parameters[0].Value = i;
            inserts[i % 3].Parameters[1].Value = $"word {i}";
            Assert.Equal(1, await inserts[i % 3].ExecuteNonQueryAsync());
            if (i % 10 == 9)
                await Assert.ThrowsAsync<PostgresException>(() => RunAsync(all[i % 3], "SELECT 1/0"));
            if (i % 10 == 9)
                await transaction.RollbackAsync();
            else
                await transaction.CommitAsync();
        }

        Assert.Equal(27, await ScalarAsync<long>(two, "SELECT count(*) FROM kept"));
        await using (TextWriter copy = await one.BeginTextImportAsync("COPY kept FROM STDIN"))
        {
            for (int i = 100; i < 1100; i++)
                await copy.WriteAsync($"{i}\tword {i}\n");
        }

        using TextReader lines = await three.BeginTextExportAsync("COPY (SELECT * FROM kept WHERE id >= 100 ORDER BY id) TO STDOUT");
        for (int i = 100; i < 1100; i++)
            Assert.Equal($"{i}\tword {i}", await lines.ReadLineAsync());
        Assert.Null(await lines.ReadLineAsync());
    });

    /// <summary>A client's names and values hold on every server.</summary>
    [Theory, MemberData(nameof(Versions))]
    public Task SettingsAndStatementsFollow(int version) => WithPoolerAsync(version, "trust", async (_, pooler, database) =>
    {
        (string Name, string Value)[] asked = [("TimeZone", "Asia/Tokyo"), ("search_path", "\"a b\", public"), ("statement_timeout", "12345")];
        using PgWire one = await PgWire.ConnectAsync(pooler.EndPoint), two = await pooler.LoginAsync(database), three = await pooler.LoginAsync(database);
        PgReply welcome = await one.LoginAsync(database, PostgresCluster.User, asked);
        Assert.Equal(version >= 18, welcome.Messages.Any(static message => message.Type == 'S' && message.Text().StartsWith("search_path\0", StringComparison.Ordinal)));
        await two.QueryAsync("SET DateStyle TO 'German'");
        foreach (PgWire wire in (PgWire[])[one, two])
        {
            await wire.SendAsync(new PgRequest().Parse("same", wire == one ? "SELECT now()::timestamptz(0)::text" : "SELECT date '2026-02-03' + $1::int").Sync());
            Assert.Equal("1Z", (await wire.ReadReplyAsync()).Types);
        }

        for (int round = 0; round < 4; round++)
        {
            // A third client in between, so that both servers have been with others.
            await three.QueryAsync("BEGIN");
            await one.SendAsync(new PgRequest().Bind("", "same").Execute().Bind("", "same").Execute().Sync());
            Assert.All((await one.ReadReplyAsync()).Rows, static row => Assert.EndsWith("+09", row[0]));
            await two.SendAsync(new PgRequest().Bind("", "same", $"{round}").Execute().Sync());
            Assert.Equal($"0{3 + round}.02.2026", (await two.ReadReplyAsync()).Scalar);
            foreach ((string name, string value) in asked)
                Assert.Equal(name == "statement_timeout" ? "12345ms" : value, (await one.QueryAsync($"SHOW {name}")).Scalar);
            Assert.Equal("\"$user\", public", (await two.QueryAsync("SHOW search_path")).Scalar);
            await three.QueryAsync("COMMIT");
        }
    });

    /// <summary>Keys of 3.2 are long towards clients of every version, and towards servers of 18.</summary>
    [Theory, MemberData(nameof(Versions))]
    public Task CancelsByKeysOfBothProtocols(int version) => WithPoolerAsync(version, "trust", async (postgres, pooler, database) =>
    {
        foreach ((int protocol, int length) in ((int, int)[])[(PgRequest.Protocol30, 4 + 4), (PgRequest.Protocol32, 4 + 32)])
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            await wire.LoginAsync(protocol, database, PostgresCluster.User);
            Assert.Equal(length, wire.Key.Length);
            await wire.SendAsync(new PgRequest().Query("SELECT pg_sleep(60) /* to be stopped */"));
            await postgres.RunsAsync(database, "to be stopped");
            using (PgWire cancel = await PgWire.ConnectAsync(pooler.EndPoint))
            {
                await cancel.SendAsync(PgRequest.Cancel(wire.Key));
                Assert.Empty(await cancel.ReadToEndAsync());
            }

            Assert.Equal("57014", (await wire.ReadReplyAsync()).Error?.SqlState);
            Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
        }
    });

    [Theory, MemberData(nameof(Versions))]
    public Task WhatCannotBeSharedPins(int version) => WithPoolerAsync(version, "trust", async (_, pooler, database) =>
    {
        using PgWire holder = await pooler.LoginAsync(database), other = await pooler.LoginAsync(database);
        foreach (string[] pin in (string[][])
            [["LISTEN news", "SELECT pg_listening_channels()", "news", "UNLISTEN *"], ["CREATE TEMP TABLE mine AS SELECT 1 AS a", "SELECT a FROM mine", "1", "DROP TABLE mine"],
                ["SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "1", "SELECT pg_advisory_unlock(7)"],
                ["SET work_mem TO '9MB'", "SHOW work_mem", "9MB", "RESET work_mem"], ["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH c", "1", "CLOSE c"]])
        {
            await holder.QueryAsync(pin[0]);
            int server = await holder.ServerAsync();
            Assert.NotEqual(server, await other.ServerAsync());
            Assert.Equal(pin[2], (await holder.QueryAsync(pin[1])).Scalar);
            Assert.Equal(pin[0], Assert.Single(await pooler.ConsoleAsync("SHOW PINS"))["statement"]);
            await holder.QueryAsync(pin[3]);
            await Eventually.EqualsAsync("nobody is pinned", 0, async () => (await pooler.ConsoleAsync("SHOW PINS")).Count);
        }
    });

    /// <summary>What a client leaves behind is rolled back and forgotten before the next comes.</summary>
    [Theory, MemberData(nameof(Versions))]
    public Task AClientThatLeavesLeavesNothing(int version) => WithPoolerAsync(version, "trust", async (postgres, pooler, database) =>
    {
        await postgres.ExecuteAsync(database, $"CREATE TABLE kept (id int); ALTER TABLE kept OWNER TO {PostgresCluster.User}");
        using PgWire stays = await pooler.LoginAsync(database);
        foreach (string[] last in (string[][])
            [["BEGIN", "INSERT INTO kept VALUES (1)"], ["CREATE TEMP TABLE mine AS SELECT 1"], ["SET work_mem TO '9MB'"], ["BEGIN", "SELECT 1/0"], ["LISTEN news"]])
        {
            using (PgWire leaves = await pooler.LoginAsync(database))
            {
                foreach (string sql in last)
                    await leaves.QueryAsync(sql);
            }

            await Eventually.EqualsAsync("servers at work", 0, async () => (await pooler.PoolCountsAsync(database)).ServersActive);
        }

        using PgWire next = await pooler.LoginAsync(database);
        await stays.QueryAsync("BEGIN");
        foreach (PgWire wire in (PgWire[])[stays, next])
        {
            Assert.Equal((string?[])["0", "4MB", null, null], (await wire.QueryAsync(
                "SELECT (SELECT count(*) FROM kept), current_setting('work_mem'), to_regclass('mine'), (SELECT max(c) FROM pg_listening_channels() c)")).Rows.Single());
        }

        await stays.QueryAsync("COMMIT");
        Dictionary<string, string?> pool = Assert.Single(await pooler.ConsoleAsync("SHOW POOLS"), row => row["database"] == database);
        Assert.Equal(("transaction", "0", "0"), (pool["pool_mode"], pool["cl_waiting"], pool["sv_active"]));
        Assert.InRange(await postgres.CountServersAsync(database), 1, 2);
    });

    private async Task WithPoolerAsync(int version, string authType, Func<PostgresCluster, PoolerProcess, string, Task> test)
    {
        PostgresCluster postgres = await versions.GetAsync(version);
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 2, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Settings["ignore_startup_parameters"] = "";
        });
        await test(postgres, pooler, database);
    }

    private static async Task RunAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<T> ScalarAsync<T>(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync())!;
    }
}
