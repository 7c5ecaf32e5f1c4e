namespace Pooler.IntegrationTests.Harness;

/// <summary>A primary with streaming standbys of a test's own, which may kill and promote them.</summary>
internal sealed class ReplicaSet : IAsyncDisposable
{
    private readonly List<PostgresHost> _hosts = [];

    /// <summary>The one that is primary at first, then the standbys.</summary>
    public IReadOnlyList<PostgresHost> Hosts => _hosts;

    public PostgresHost Primary => _hosts[0];

    public static async Task<ReplicaSet> StartAsync(int standbys)
    {
        var set = new ReplicaSet();
        set._hosts.Add(await PostgresHost.CreateAsync());
        for (int i = 0; i < standbys; i++)
            set._hosts.Add(await PostgresHost.CopyAsync(set.Primary));
        return set;
    }

    /// <summary>An entry with all hosts, in this order of indexes.</summary>
    public string Entry(string more, params int[] order)
    {
        IEnumerable<PostgresHost> hosts = order.Length == 0 ? _hosts : order.Select(i => _hosts[i]);
        return $"host={string.Join(',', hosts.Select(static _ => "127.0.0.1"))} port={string.Join(',', hosts.Select(static h => h.Port))} dbname=postgres {more}";
    }

    /// <summary>Waits until a standby has replayed what the primary has written by now.</summary>
    public async Task CatchUpAsync(int standby)
    {
        string end = await Primary.ScalarAsync<string>("SELECT pg_current_wal_insert_lsn()::text");
        await Eventually.EqualsAsync($"standby {standby} has replayed {end}", true,
            () => _hosts[standby].ScalarAsync<bool>($"SELECT pg_last_wal_replay_lsn() >= '{end}'"));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (PostgresHost host in _hosts)
            await host.DisposeAsync();
    }
}
