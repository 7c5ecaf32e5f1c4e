using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;

namespace Pooler.Cluster;

/// <summary>The clusters of the configuration in force, by the name of their database entry.</summary>
internal sealed class Clusters(ClusterFile file, HostNames names, ServerPasswords passwords, ILogger log, Action<HostCluster, ClusterState, ClusterState> changed)
{
    private ImmutableSortedDictionary<string, HostCluster> _clusters = ImmutableSortedDictionary.Create<string, HostCluster>(StringComparer.Ordinal);

    /// <summary>By name; read by any thread.</summary>
    public IEnumerable<HostCluster> All => Volatile.Read(ref _clusters).Values;

    public HostCluster? Find(string name) => Volatile.Read(ref _clusters).GetValueOrDefault(name);

    /// <summary>At the start and after a RELOAD, one caller at a time: a cluster whose probes stay the same goes on.</summary>
    public void Apply(PoolerConfig config)
    {
        var before = Volatile.Read(ref _clusters);
        var after = before.Clear().ToBuilder();
        foreach (DatabaseConfig database in config.Databases.Values)
        {
            if (config.ClusterOf(database) is not { } wanted)
            {
                continue;
            }

            if (before.GetValueOrDefault(database.Name) is { } present && present.Config.ProbesAs(wanted))
            {
                present.Config = wanted;
                after[database.Name] = present;
            }
            else
            {
                after[database.Name] = new HostCluster(wanted, file, names, passwords, log, changed);
            }
        }

        Volatile.Write(ref _clusters, after.ToImmutable());
        foreach (HostCluster gone in before.Values.Except(after.Values))
        {
            _ = gone.DisposeAsync().AsTask();
        }
    }

    public async Task StopAsync()
    {
        // A probe under way ends with its connection, which a silent host may keep open: the process does not wait for that.
        Task monitors = Task.WhenAll(All.Select(static c => c.DisposeAsync().AsTask()));
        await monitors.WaitAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await file.Written.ConfigureAwait(false);
    }
}
