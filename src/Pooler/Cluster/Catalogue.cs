using Microsoft.Extensions.Logging;
using Npgsql;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;
using Pooler.Sql;
using Pooler.Telemetry;

namespace Pooler.Cluster;

/// <summary>
/// What the names of a cluster's database mean for reads: those that read_write_split sends to replicas, and those that run once more
/// when their server is lost. Asked of the primary, or of a host that serves reads while there is none, on a connection of its own and
/// off the I/O threads. Until it is known every query may write.
/// </summary>
internal sealed class Catalogue(HostCluster cluster, ServerPasswords passwords, ILogger log)
{
    /// <summary>Longest look, connect included; it takes a few hundred milliseconds in a database of many views.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    // DDL comes in bursts: one look for many.
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(200), Retry = TimeSpan.FromMilliseconds(100), SlowRetry = TimeSpan.FromSeconds(2);

    private TaskCompletionSource _asked = NewQuestion();
    private VolatileNames _names = VolatileNames.Unknown;
    private string? _problem;

    /// <summary>What is known now; read by any thread.</summary>
    public VolatileNames Names => Volatile.Read(ref _names);

    /// <summary>Statements that a replica has refused although they looked like reads.</summary>
    public FingerprintSet Writes { get; } = new();

    /// <summary>It may have changed, or how it is read: there will be a look soon. Any thread.</summary>
    public void Changed() => Volatile.Read(ref _asked).TrySetResult();

    /// <summary>Looks again and again, until the end.</summary>
    public async Task KeepAsync(CancellationToken end)
    {
        TimeSpan retry = Retry;
        while (!end.IsCancellationRequested)
        {
            ClusterConfig config = cluster.Config;
            bool isDone = await LoadAsync(config, end).ConfigureAwait(false);
            retry = isDone ? Retry : Min(retry * 2, SlowRetry);
            TimeSpan pause = !isDone ? retry : config.CatalogueRefreshInterval > TimeSpan.Zero ? config.CatalogueRefreshInterval : Timeout.InfiniteTimeSpan;
            await _asked.Task.WaitAsync(pause, end).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_asked.Task.IsCompleted)
            {
                await Task.Delay(Gather, end).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                Volatile.Write(ref _asked, NewQuestion());
            }
        }
    }

    private static TaskCompletionSource NewQuestion() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private async Task<bool> LoadAsync(ClusterConfig config, CancellationToken end)
    {
        ClusterState state = cluster.State;
        int host = state.WritablePrimary != null ? state.Primary!.Value : state.Hosts.ToList().FindIndex(h => h.ServesReads(config));
        if (host < 0)
        {
            return false;
        }

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(end);
        deadline.CancelAfter(Deadline);
        try
        {
            List<(char Kind, string Name)> rows = await ReadAsync(config, config.Hosts[host], deadline.Token).WaitAsync(deadline.Token).ConfigureAwait(false);
            bool isNew = Names == VolatileNames.Unknown || _problem != null;
            Volatile.Write(ref _names, new VolatileNames(rows, config.ReadOnlyFunctions, config.VolatileFunctions));
            _problem = null;
            string where = config.Hosts[host].ToString();
            if (isNew)
            {
                log.CatalogueRead(config.Name, where);
            }

            return true;
        }
        catch (Exception fault) // Of whatever kind: what is known stays, and if that is nothing all goes to the primary.
        {
            if (!end.IsCancellationRequested && fault.Message != _problem)
            {
                _problem = fault.Message;
                log.Warn($"{config.Name}: the catalogue cannot be read at {config.Hosts[host]}: {fault.Message}; what it does not know goes to the primary");
            }

            return false;
        }
    }

    private async Task<List<(char Kind, string Name)>> ReadAsync(ClusterConfig config, HostAddress host, CancellationToken deadline)
    {
        NpgsqlConnectionStringBuilder connect = MonitorLogin.ConnectString(config, host);
        connect.ApplicationName = "pooler catalogue";
        connect.Options = "-c jit=off";
        await using NpgsqlDataSource source = new MonitorLogin(config, host, passwords).SourceOf(connect).Build();
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(deadline).ConfigureAwait(false);
        await using var command = new NpgsqlCommand(CatalogueQuery.Text, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = string.Join(',', config.ReadOnlyFunctions) });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = string.Join(',', config.VolatileFunctions) });
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false); // As ProbeConnection.
        List<(char, string)> rows = [];
        while (await reader.ReadAsync(CancellationToken.None).ConfigureAwait(false))
        {
            rows.Add((reader.GetString(0)[0], reader.GetString(1)));
        }

        return rows;
    }
}
