using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests;

/// <summary>[peers]: a cancel request that comes to the wrong process is passed on to the right one, as PgBouncer passes it on.</summary>
public sealed class PeerTests(PostgresCluster postgres)
{
    [Fact]
    public async Task CancelsFindTheirQueryWhereverTheyCome()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PeerGroup group = await StartAsync(database, 3);
        PgWire[] clients = await Task.WhenAll(Enumerable.Range(0, 24).Select(_ => group.LoginAsync()));
        using PgWire bystander = await group.LoginAtAsync(1);
        Assert.True(clients.Select(PeerGroup.PeerOf).Distinct().Count() > 1, "the kernel gave all connections to one process");
        await bystander.SendAsync(new PgRequest().Query("SELECT pg_sleep(3), 'undisturbed'"));
        await Task.WhenAll(clients.Select(client => client.SendAsync(new PgRequest().Query("SELECT pg_sleep(600)")).AsTask()));
        await Eventually.EqualsAsync("queries that run", 25L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'SELECT pg_sleep%'"));

        // Some to the port, which is anybody's, some to each process for certain.
        await Task.WhenAll(clients.Select((client, i) => PeerGroup.CancelAsync(i % 4 == 0 ? group.EndPoint : group.UnixEndPointOf(i % 4), client.Key)));
        foreach (PgWire client in clients)
        {
            Assert.Equal("57014", (await client.ReadReplyAsync()).Error?.SqlState);
            client.Dispose();
        }

        Assert.Equal("undisturbed", (await bystander.ReadReplyAsync()).Rows.Single()[1]);
        for (int peer = 1; peer <= 3; peer++)
        {
            List<Dictionary<string, string?>> pools = await group.ConsoleAsync(peer, "SHOW PEER_POOLS");
            Assert.NotEmpty(pools);
            Assert.All(pools, row => Assert.All(row.Where(static field => field.Key != "peer_id"), static field => Assert.Equal("0", field.Value)));
            Assert.DoesNotContain(pools, row => row["peer_id"] == $"{peer}");
            Assert.Equal($"{pools.Count}", (await group.ConsoleAsync(peer, "SHOW LISTS")).Single(static row => row["list"] == "peer_pools")["items"]);
        }
    }

    /// <summary>From protocol 3.2 on keys have a seal, which the peer cannot check and must not lose.</summary>
    [Fact]
    public async Task ALongKeyIsPassedOnToo()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PeerGroup group = await StartAsync(database, 2);
        using PgWire client = await group.LoginAsync(PgRequest.Protocol32);
        Assert.Equal(36, client.Key.Length);
        int other = 3 - PeerGroup.PeerOf(client);
        await RunAsync(client, database);
        await PeerGroup.CancelAsync(group.UnixEndPointOf(other), client.Key);
        Assert.Equal("57014", (await client.ReadReplyAsync()).Error?.SqlState);
    }

    [Fact]
    public async Task TheConsoleOfAPeerIsCancelledToo()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PeerGroup group = await StartAsync(database, 2);
        using PgWire holder = await group.LoginAtAsync(1), console = await group.LoginAsync(1, PoolerIni.Admin, "pgbouncer");
        await holder.QueryAsync("BEGIN");
        await console.SendAsync(new PgRequest().Query("PAUSE"));
        await Eventually.EqualsAsync("paused", "yes", async () =>
            (await group.ConsoleAsync(1, "SHOW STATE")).Single(static row => row["key"] == "paused")["value"]);
        await PeerGroup.CancelAsync(group.UnixEndPointOf(2), console.Key);
        Assert.NotNull((await console.ReadReplyAsync()).Error);
        await holder.QueryAsync("COMMIT");
    }

    /// <summary>Keys that strangers make up: nothing is answered, nothing goes round for ever, and nobody is hit.</summary>
    [Fact]
    public async Task KeysOfNobodyComeToNothing()
    {
        string database = await postgres.CreateDatabaseAsync();
        // Each says that the number 3 is the other: what is for it goes from one to the other.
        await using var group = new PeerGroup(postgres, database, 2, static ini =>
        {
            ini.Peers["3"] = ini.Peers[ini.Settings["peer_id"] == "1" ? "2" : "1"];
            ini.Settings["cancel_wait_timeout"] = "600"; // What went round for ever would not be noticed else.
        });
        await group.StartAsync(1);
        await group.StartAsync(2);
        using PgWire client = await group.LoginAtAsync(1);
        await RunAsync(client, database);
        byte[] key = client.Key;
        foreach (int peer in (int[])[1, 2, 3, 4, 16383, 65535])
        {
            foreach (byte hops in (byte[])[0, 1, 2, 3])
            {
                byte[] wrong = [key[0], (byte)peer, (byte)(peer >> 8), key[3], key[4], key[5], key[6], (byte)(((key[7] & ~3) ^ 4) | hops)];
                await PeerGroup.CancelAsync(group.UnixEndPointOf(1), wrong);
                await PeerGroup.CancelAsync(group.UnixEndPointOf(2), wrong);
            }
        }

        Assert.All(await group.ConsoleAsync(1, "SHOW PEER_POOLS"), static row => Assert.Equal(("0", "0"), (row["sv_active_cancel"], row["cl_waiting_cancel_req"])));

        // A key that was passed on often enough is not passed on again; at its own process it is as good as ever.
        key[7] &= 0xFC;
        await PeerGroup.CancelAsync(group.UnixEndPointOf(2), key);
        Assert.Equal(1, await postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active'"));
        await PeerGroup.CancelAsync(group.UnixEndPointOf(1), key);
        Assert.Equal("57014", (await client.ReadReplyAsync()).Error?.SqlState);
    }

    /// <summary>pool_size of a peer; what waits for its turn, or for a peer that does not answer, ends with cancel_wait_timeout.</summary>
    [Fact]
    public async Task AsManyAsThePeersPoolSizeAreUnderWayAtOnce()
    {
        using var peer = new TcpListener(IPAddress.Loopback, 0);
        peer.Start();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["peer_id"] = "7";
            ini.Settings["cancel_wait_timeout"] = "2";
            ini.Peers["258"] = $"host=localhost port={((IPEndPoint)peer.LocalEndpoint).Port} pool_size=2";
        });
        byte[] key = [1, 2, 1, 3, 4, 5, 6, 7]; // 258 is 0x0102; three hops are left.
        Task[] cancels = [.. Enumerable.Range(0, 5).Select(_ => PeerGroup.CancelAsync(pooler.EndPoint, key))];
        using Socket first = await peer.AcceptSocketAsync();
        using Socket second = await peer.AcceptSocketAsync();
        Assert.Equal([0, 0, 0, 16, 4, 210, 22, 46, 1, 2, 1, 3, 4, 5, 6, 6], await ReadAsync(first, 16));
        await Eventually.EqualsAsync("requests under way", "258 2 3 2 0", () => PoolAsync(pooler));
        Assert.False(peer.Pending());
        first.Close();
        using Socket third = await peer.AcceptSocketAsync();
        await Eventually.EqualsAsync("requests under way", "258 2 2 2 0", () => PoolAsync(pooler));
        Assert.Equal(1, cancels.Count(static cancel => cancel.IsCompletedSuccessfully));
        await Task.WhenAll(cancels);
        await Eventually.EqualsAsync("requests under way", "258 0 0 0 0", () => PoolAsync(pooler));
        Assert.False(peer.Pending()); // Those whose time was over are not sent any more.
    }

    [Fact]
    public async Task ReloadChangesPeers()
    {
        using TcpListener first = new(IPAddress.Loopback, 0), second = new(IPAddress.Loopback, 0);
        first.Start();
        second.Start();
        string database = await postgres.CreateDatabaseAsync();
        PoolerIni used = null!;
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["peer_id"] = "1";
            ini.Settings["cancel_wait_timeout"] = "1";
            used = ini;
        });
        byte[] key = [0, 2, 0, 0, 0, 0, 0, 3];
        Assert.Equal("", await PeersAsync(pooler));
        await PeerGroup.CancelAsync(pooler.EndPoint, key);

        await ReloadAsync(pooler, used, ("2", $"host=127.0.0.1 port={PortOf(first)}"));
        Assert.Equal($"2 127.0.0.1 {PortOf(first)} 20", await PeersAsync(pooler));
        await AssertGoesToAsync(first);

        await ReloadAsync(pooler, used, ("2", $"host=127.0.0.1 port={PortOf(second)} pool_size=3"), ("1", "host=me"));
        Assert.Equal($"1 me 6432 20, 2 127.0.0.1 {PortOf(second)} 3", await PeersAsync(pooler));
        await AssertGoesToAsync(second);

        await ReloadAsync(pooler, used);
        Assert.Equal("", await PeersAsync(pooler));
        Assert.Empty(await pooler.ConsoleAsync("SHOW PEER_POOLS"));
        await PeerGroup.CancelAsync(pooler.EndPoint, key);
        Assert.False(first.Pending() || second.Pending());

        async Task AssertGoesToAsync(TcpListener peer)
        {
            Task cancel = PeerGroup.CancelAsync(pooler.EndPoint, key);
            using (Socket socket = await peer.AcceptSocketAsync())
                await ReadAsync(socket, 16);
            await cancel;
        }
    }

    private static int PortOf(TcpListener peer) => ((IPEndPoint)peer.LocalEndpoint).Port;

    private static async Task ReloadAsync(PoolerProcess pooler, PoolerIni ini, params (string Id, string Entry)[] peers)
    {
        ini.Peers.Clear();
        foreach ((string id, string entry) in peers)
            ini.Peers[id] = entry;
        ini.Write(pooler.Folder, pooler.Port);
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
    }

    private static async Task<string> PeersAsync(PoolerProcess pooler) => string.Join(", ", (await RowsAsync(pooler, "SHOW PEERS")).Select(static row => string.Join(' ', row)));

    private static async Task<string> PoolAsync(PoolerProcess pooler) => string.Join(' ', (await RowsAsync(pooler, "SHOW PEER_POOLS")).Single());

    private static async Task<List<IEnumerable<string?>>> RowsAsync(PoolerProcess pooler, string command) =>
        [.. (await pooler.ConsoleAsync(command)).Select(static row => row.Values.AsEnumerable())];

    private static async Task<byte[]> ReadAsync(Socket socket, int count)
    {
        byte[] bytes = new byte[count];
        for (int read = 0; read < count;)
        {
            int part = await socket.ReceiveAsync(bytes.AsMemory(read));
            Assert.NotEqual(0, part);
            read += part;
        }

        return bytes;
    }

    private async Task<PeerGroup> StartAsync(string database, int count)
    {
        var group = new PeerGroup(postgres, database, count);
        for (int peer = 1; peer <= count; peer++)
            await group.StartAsync(peer);
        return group;
    }

    private async Task RunAsync(PgWire client, string database)
    {
        await client.SendAsync(new PgRequest().Query("SELECT pg_sleep(600)"));
        await Eventually.EqualsAsync("queries that run", 1L, () => postgres.ScalarAsync<long>(PostgresCluster.Superuser,
            $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query = 'SELECT pg_sleep(600)' AND state = 'active'"));
    }
}
