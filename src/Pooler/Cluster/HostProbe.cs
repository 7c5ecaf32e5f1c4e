using Npgsql;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Net;

namespace Pooler.Cluster;

/// <summary>
/// Asks one host what it is, on a connection of its own that stays open between probes. Runs on ordinary threads, never on an I/O
/// thread.
/// </summary>
internal sealed class HostProbe(ClusterConfig config, HostAddress host, HostNames names, ServerPasswords passwords) : IAsyncDisposable
{
    private readonly Dictionary<HostAddress, NpgsqlDataSource> _sources = [];
    private readonly MonitorLogin _login = new(config, host, passwords);
    private ProbeConnection? _connection;
    private HostAddress _connectedTo;

    /// <summary>
    /// The host as it is now. Fails with whatever Npgsql says, once a new connection has failed as well: one that was open may have
    /// been cut by anything.
    /// </summary>
    public async Task<HostAnswer> AskAsync(TimeSpan interval, CancellationToken deadline)
    {
        if (host.IsName && names.LastOf(host.Name) is { IsEmpty: false } known && !known.Any(address => address.ToString() == _connectedTo.Name))
        {
            Disconnect(); // The name stands for another address now, and that is where servers are opened.
        }

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
        return ForgetSourcesAsync();
    }

    private async Task<HostAnswer> AskOnceAsync(TimeSpan interval, CancellationToken deadline)
    {
        try
        {
            _connection ??= new ProbeConnection(await OpenAsync(deadline).ConfigureAwait(false));
            return await _connection.AskAsync(interval).WaitAsync(deadline).ConfigureAwait(false);
        }
        catch (Exception fault)
        {
            if (fault is PostgresException { SqlState: PostgresErrorCodes.InvalidPassword })
            {
                _login.Refused();
            }

            Disconnect();
            throw;
        }
    }

    /// <summary>A connection to the first of the name's addresses that takes one, as servers are opened.</summary>
    private async Task<NpgsqlConnection> OpenAsync(CancellationToken deadline)
    {
        HostAddress[] addresses = await FindAddressesAsync().WaitAsync(deadline).ConfigureAwait(false);
        if (_sources.Keys.Except(addresses).Any())
        {
            await ForgetSourcesAsync().ConfigureAwait(false);
        }

        for (int i = 0; ; i++)
        {
            try
            {
                _connectedTo = addresses[i];
                return await WithinAsync(SourceOf(addresses[i]).OpenConnectionAsync(deadline).AsTask(), deadline).ConfigureAwait(false);
            }
            catch (NpgsqlException fault) when (fault is not PostgresException && i + 1 < addresses.Length && !deadline.IsCancellationRequested)
            {
                // Nobody listens there.
            }
        }
    }

    /// <summary>Whatever a driver does with the deadline in the middle of a handshake: nobody waits longer, and what comes of it then is closed.</summary>
    private static async Task<NpgsqlConnection> WithinAsync(Task<NpgsqlConnection> opening, CancellationToken deadline)
    {
        try
        {
            return await opening.WaitAsync(deadline).ConfigureAwait(false);
        }
        catch
        {
            _ = CloseLateAsync(opening);
            throw;
        }
    }

    private static async Task CloseLateAsync(Task<NpgsqlConnection> opening)
    {
        try
        {
            await (await opening.ConfigureAwait(false)).CloseAsync().ConfigureAwait(false);
        }
        catch (Exception) // It has never been open, or was broken already.
        {
        }
    }

    private async Task<HostAddress[]> FindAddressesAsync()
    {
        if (!host.IsName)
        {
            return [host];
        }

        var told = new TaskCompletionSource<NameAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        names.Ask(host.Name, told.SetResult);
        NameAnswer answer = await told.Task.ConfigureAwait(false);
        return answer.Addresses.IsEmpty ? throw new IOException($"DNS lookup failed: {answer.Problem}")
            : [.. answer.Addresses.Select(address => host with { Name = address.ToString() })];
    }

    private NpgsqlDataSource SourceOf(HostAddress address)
    {
        if (!_sources.TryGetValue(address, out NpgsqlDataSource? source))
        {
            _sources.Add(address, source = _login.SourceOf(MonitorLogin.ConnectString(config, address)).Build());
        }

        return source;
    }

    private async ValueTask ForgetSourcesAsync()
    {
        foreach (NpgsqlDataSource source in _sources.Values)
        {
            await source.DisposeAsync().ConfigureAwait(false);
        }

        _sources.Clear();
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
