namespace Pooler.IntegrationTests.Harness;

/// <summary>A primary with streaming standbys of a test's own, which may kill and promote them.</summary>
internal sealed class ReplicaSet : IAsyncDisposable
{
    private readonly List<PostgresHost> _hosts = [];

    /// <summary>The one that is primary at first, then the standbys.</summary>
    public IReadOnlyList<PostgresHost> Hosts => _hosts;

    /// <summary>The one that is primary at first.</summary>
    public PostgresHost Primary => _hosts[0];

    /// <param name="isGated">Each host stands behind a <see cref="HostGate"/>, to the pooler and to the others.</param>
    public static async Task<ReplicaSet> StartAsync(int standbys, bool isGated = false)
    {
        var set = new ReplicaSet();
        set._hosts.Add(await PostgresHost.CreateAsync(isGated));
        set._hosts.AddRange(await Task.WhenAll(Enumerable.Range(0, standbys).Select(_ => PostgresHost.CopyAsync(set.Primary.PublicPort, isGated))));
        return set;
    }

    /// <summary>One more standby, of the primary or (cascading) of another standby.</summary>
    public async Task<PostgresHost> AddStandbyAsync(PostgresHost source, params string[] settings)
    {
        PostgresHost host = await PostgresHost.CopyAsync(source.PublicPort, source.Gate is not null, settings);
        _hosts.Add(host);
        return host;
    }

    /// <summary>One more host with a data set of its own: it subscribes to all tables of a primary, which the text has made on both.</summary>
    public async Task<PostgresHost> AddSubscriberAsync(PostgresHost source, string schema)
    {
        PostgresHost host = await PostgresHost.CreateAsync(source.Gate is not null);
        _hosts.Add(host);
        await source.ExecuteAsync($"{schema}; CREATE PUBLICATION everything FOR ALL TABLES");
        await host.ExecuteAsync(schema);
        await host.ExecuteAsync($"CREATE SUBSCRIPTION all_of_{source.Port} CONNECTION 'host=127.0.0.1 port={source.PublicPort} user={PostgresCluster.Superuser} dbname=postgres' PUBLICATION everything");
        await Eventually.EqualsAsync("the tables are copied", 0L, () => host.ScalarAsync<long>("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'"));
        return host;
    }

    /// <summary>Whoever is primary waits for one of its standbys at each commit.</summary>
    public Task MakeSynchronousAsync() => Task.WhenAll(_hosts.Select(static host => host.SetAsync("synchronous_standby_names = 'ANY 1 (*)'")));

    /// <summary>An entry with all hosts, in this order of indexes.</summary>
    public string Entry(string more, params int[] order)
    {
        IEnumerable<PostgresHost> hosts = order.Length == 0 ? _hosts : order.Select(i => _hosts[i]);
        return $"host={string.Join(',', hosts.Select(static _ => "127.0.0.1"))} port={string.Join(',', hosts.Select(static h => h.PublicPort))} dbname=postgres {more}";
    }

    /// <summary>Waits until a standby has replayed what the primary has written by now.</summary>
    public async Task CatchUpAsync(int standby) =>
        await _hosts[standby].ReplaysAsync(await Primary.ScalarAsync<string>("SELECT pg_current_wal_insert_lsn()::text"));

    public async ValueTask DisposeAsync() => await Task.WhenAll(_hosts.Select(static host => host.DisposeAsync().AsTask()));
}
