namespace Pooler.IntegrationTests;

/// <summary>Reads on replicas miss nothing that their session has written or seen.</summary>
public sealed class ReadAfterWriteTests
{
    private const string Read = "SELECT n, inet_server_port() FROM counter";

    [Fact]
    public async Task AWriterReadsItsOwnWritesOnAReplicaOnceTheyAreThere()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "");
        using PgWire writer = await pooler.LoginAsync("app"), other = await pooler.LoginAsync("app");
        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_pause()");
        await writer.QueryAsync("UPDATE counter SET n = n + 1");
        Assert.Equal(("1", set.Primary.Port), await ReadAsync(writer));
        Assert.Equal(("0", set.Hosts[1].Port), await ReadAsync(other));

        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_resume()");
        await Eventually.EqualsAsync("the replica has what was written", ("1", set.Hosts[1].Port), () => ReadAsync(writer));
        await Eventually.EqualsAsync("others see it too", ("1", set.Hosts[1].Port), () => ReadAsync(other));
    }

    /// <summary>Prepared, in a transaction, pipelined: no way leads past the bound.</summary>
    [Fact]
    public async Task EveryWayToWriteCounts()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "");
        using PgWire writer = await pooler.LoginAsync("app");
        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_pause()");
        int expected = 0;
        foreach (string write in (string[])["UPDATE counter SET n = n + 1", "BEGIN; UPDATE counter SET n = n + 1; COMMIT", "WITH w AS (UPDATE counter SET n = n + 1 RETURNING n) SELECT n FROM w"])
        {
            await writer.QueryAsync(write);
            Assert.Equal($"{++expected}", (await ReadAsync(writer)).Value);
            await writer.SendAsync(new PgRequest().Parse("", write.Replace("BEGIN; ", "").Replace("; COMMIT", "")).Bind("", "").Execute().Sync());
            Assert.Null((await writer.ReadReplyAsync()).Error);
            Assert.Equal($"{++expected}", (await ReadAsync(writer)).Value);
        }

        await writer.SendAsync(new PgRequest().Query("UPDATE counter SET n = n + 1").Query(Read));
        await writer.ReadReplyAsync();
        Assert.Equal($"{++expected}", (await writer.ReadReplyAsync()).Scalar);
    }

    [Theory]
    [InlineData("read_after_write=off", "0", "0")]
    [InlineData("read_after_write=session", "1", "0")]
    [InlineData("read_after_write=user", "1", "1")]
    public async Task WhoseWritesCountIsASetting(string entry, string own, string others)
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, entry);
        using PgWire writer = await pooler.LoginAsync("app"), other = await pooler.LoginAsync("app");
        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_pause()");
        await writer.QueryAsync("UPDATE counter SET n = 1");
        Assert.Equal(own, (await ReadAsync(writer)).Value);
        Assert.Equal(others, (await ReadAsync(other)).Value);
    }

    /// <summary>Of two replicas one does not follow: who has seen the other's rows does not see the older ones again.</summary>
    [Fact]
    public async Task ASessionsReadsDoNotGoBackInTime()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 2);
        await using PoolerProcess pooler = await StartAsync(set, "load_balance=round_robin");
        using PgWire writer = await pooler.LoginAsync("app");
        await set.Hosts[2].ExecuteAsync("SELECT pg_wal_replay_pause()");
        HashSet<int> seenOn = [];
        for (int i = 0; i < 20; i++)
        {
            using PgWire reader = await pooler.LoginAsync("app");
            int last = -1;
            for (int n = 0; n < 20; n++)
            {
                await writer.QueryAsync("UPDATE counter SET n = n + 1");
                (string? value, int port) = await ReadAsync(reader);
                seenOn.Add(port);
                Assert.True(int.Parse(value!) >= last, $"{value} after {last}");
                last = int.Parse(value!);
            }
        }

        Assert.Superset(new HashSet<int>([set.Hosts[1].Port, set.Hosts[2].Port]), seenOn);
    }

    /// <summary>What has no table needs no bound: it spreads.</summary>
    [Fact]
    public async Task WhatReadsNoTableGoesAnywhere()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "");
        using PgWire writer = await pooler.LoginAsync("app");
        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_pause()");
        await writer.QueryAsync("UPDATE counter SET n = n + 1");
        Assert.Equal($"{set.Hosts[1].Port}", (await writer.QueryAsync("SELECT inet_server_port()")).Scalar);
        Assert.Equal(set.Primary.Port, (await ReadAsync(writer)).Port);
    }

    /// <summary>What a session begins with has shown it nothing: with the primary gone it reads on replicas at once.</summary>
    [Theory]
    [InlineData("SELECT 1")]
    [InlineData("SET pooler.route = 'auto'")]
    [InlineData("SET application_name = 'x'")]
    public async Task WhatSeesNothingBindsNobody(string first)
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "");
        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_pause()");
        await set.Primary.ExecuteAsync("UPDATE counter SET n = 1");
        using PgWire client = await pooler.LoginAsync("app");
        Assert.Null((await client.QueryAsync(first)).Error);
        Assert.Equal(("0", set.Hosts[1].Port), await ReadAsync(client));
    }

    /// <summary>A replica that starts again replays from further back: what its samples said before is not believed.</summary>
    [Fact]
    public async Task AReplicaThatStartsAgainIsAskedAgain()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "");
        using PgWire writer = await pooler.LoginAsync("app");
        for (int i = 1; i <= 3; i++)
        {
            await writer.QueryAsync($"UPDATE counter SET n = {i}");
            await Eventually.EqualsAsync("the replica serves", ($"{i}", set.Hosts[1].Port), () => ReadAsync(writer));
            await set.Hosts[1].KillAsync();
            Assert.Equal($"{i}", (await ReadAsync(writer)).Value);
            await set.Hosts[1].StartAsync();
            Assert.Equal($"{i}", (await ReadAsync(writer)).Value);
        }
    }

    /// <summary>What one process has written another does not miss, if it is told the position.</summary>
    [Fact]
    public async Task ABoundGoesFromOneProcessToAnother()
    {
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        await using PoolerProcess pooler = await StartAsync(set, "");
        using PgWire writer = await pooler.LoginAsync("app"), other = await pooler.LoginAsync("app");
        Assert.Equal("0/0", (await writer.QueryAsync("SHOW pooler.lsn")).Scalar);
        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_pause()");
        await writer.QueryAsync("UPDATE counter SET n = 1");
        string position = (await writer.QueryAsync("SHOW pooler.lsn")).Scalar!;
        Assert.True(await set.Primary.ScalarAsync<bool>($"SELECT '{position}' BETWEEN pg_current_wal_lsn() - 1000 AND pg_current_wal_insert_lsn()"), position);

        Assert.Equal("0", (await ReadAsync(other)).Value);
        Assert.Null((await other.QueryAsync($"SET pooler.min_lsn = '{position}'")).Error);
        Assert.Equal(position, (await other.QueryAsync("SHOW pooler.min_lsn")).Scalar);
        Assert.Equal(("1", set.Primary.Port), await ReadAsync(other));
        using PgWire third = await pooler.LoginAsync("app");
        await third.QueryAsync($"SET pooler.min_lsn = '{position}'");
        Assert.Contains($"Bound: {position}", (await third.QueryAsync($"EXPLAIN (POOLER) {Read}")).Rows.Select(static row => row[0]));
        Assert.Equal("22023", (await other.QueryAsync("SET pooler.min_lsn = 'x'")).Error!.Value.SqlState);
        Assert.Equal("55P02", (await other.QueryAsync("SET pooler.lsn = '0/1'")).Error!.Value.SqlState);

        await set.Hosts[1].ExecuteAsync("SELECT pg_wal_replay_resume()");
        await Eventually.EqualsAsync("the replica has the position", ("1", set.Hosts[1].Port), () => ReadAsync(other));
        Assert.Null((await other.QueryAsync("RESET pooler.min_lsn")).Error);
        Assert.Equal("0/0", (await other.QueryAsync("SHOW pooler.min_lsn")).Scalar);
    }

    private static async Task<(string? Value, int Port)> ReadAsync(PgWire client)
    {
        PgReply reply = await client.QueryAsync(Read);
        Assert.Null(reply.Error);
        string?[] row = reply.Rows.Single();
        return (row[0], int.Parse(row[1]!));
    }

    private static async Task<PoolerProcess> StartAsync(ReplicaSet set, string entry)
    {
        await set.Primary.ExecuteAsync("CREATE TABLE counter AS SELECT 0 AS n");
        for (int i = 1; i < set.Hosts.Count; i++)
            await set.CatchUpAsync(i);
        var ini = new PoolerIni { Databases = { ["app"] = set.Entry($"routing=read_write_split max_replica_lag_time=0 {entry}") } };
        PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        using PgWire client = await pooler.LoginAsync("app");
        int[] replicas = [.. set.Hosts.Skip(1).Select(static h => h.Port)];
        await Eventually.EqualsAsync("reads go to replicas", true, async () =>
        {
            using PgWire fresh = await pooler.LoginAsync("app");
            int port = (await ReadAsync(fresh)).Port;
            return replicas.Contains(port);
        });
        return pooler;
    }
}
