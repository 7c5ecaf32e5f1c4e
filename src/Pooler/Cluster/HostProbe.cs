using Npgsql;
using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>
/// Asks one host what it is, on a connection of its own that stays open between probes. Runs on ordinary threads, never on an I/O
/// thread.
/// </summary>
internal sealed class HostProbe : IAsyncDisposable
{
    private readonly NpgsqlDataSource _source;
    private ProbeConnection? _connection;

    public HostProbe(ClusterConfig config, HostAddress host) => _source = new NpgsqlSlimDataSourceBuilder(ConnectString(config, host).ConnectionString).Build();

    /// <summary>How a host is asked about itself and its database; the caller's deadlines are the ones.</summary>
    internal static NpgsqlConnectionStringBuilder ConnectString(ClusterConfig config, HostAddress host) => new()
    {
        Host = host.Name.Length == 0 ? config.UnixSocketDirectory : host.Name,
        Port = host.Port,
        Database = config.DbName,
        Username = config.MonitorUser,
        Password = config.MonitorPassword,
        ApplicationName = "pooler monitor",
        SslMode = Npgsql.SslMode.Disable, // As towards servers, until there is TLS.
        Pooling = false,
        Timeout = 0,
        CommandTimeout = 0,
        CancellationTimeout = -1, // A host that does not answer does not answer a CancelRequest either.
    };

    /// <summary>
    /// The host as it is now. Fails with whatever Npgsql says, once a new connection has failed as well: one that was open may have
    /// been cut by anything.
    /// </summary>
    public async Task<HostAnswer> AskAsync(TimeSpan interval, CancellationToken deadline)
    {
        bool wasOpen = _connection != null;
        try
        {
            return await AskOnceAsync(interval, deadline).ConfigureAwait(false);
        }
        catch (Exception) when (wasOpen && !deadline.IsCancellationRequested)
        {
            return await AskOnceAsync(interval, deadline).ConfigureAwait(false);
        }
    }

    /// <summary>The next question goes over a new connection.</summary>
    public void Disconnect()
    {
        if (_connection is { } connection)
        {
            _connection = null;
            _ = CloseAsync(connection);
        }
    }

    public ValueTask DisposeAsync()
    {
        Disconnect();
        return _source.DisposeAsync();
    }

    private async Task<HostAnswer> AskOnceAsync(TimeSpan interval, CancellationToken deadline)
    {
        try
        {
            _connection ??= new ProbeConnection(await _source.OpenConnectionAsync(deadline).ConfigureAwait(false));
            return await _connection.AskAsync(interval).WaitAsync(deadline).ConfigureAwait(false);
        }
        catch
        {
            Disconnect();
            throw;
        }
    }

    /// <summary>Nobody waits for it: that a host is silent must not be noticed later for it.</summary>
    private static async Task CloseAsync(ProbeConnection connection)
    {
        try
        {
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception) // It was broken already.
        {
        }
    }
}
