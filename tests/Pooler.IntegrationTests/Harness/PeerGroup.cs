using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>Several poolers on one port (so_reuseport) that know each other as [peers], over their Unix sockets.</summary>
internal sealed class PeerGroup(PostgresCluster postgres, string database, int most, Action<PoolerIni>? adjust = null) : IAsyncDisposable
{
    private readonly string[] _folders = [.. Enumerable.Range(0, most).Select(static _ => OrdinaryUser.CreateFolder())];
    private readonly Dictionary<int, PoolerProcess> _processes = [];

    public string Database => database;

    public int Port { get; } = FreePort.Next();

    public EndPoint EndPoint => new IPEndPoint(IPAddress.Loopback, Port);

    public string LibpqString => $"host=127.0.0.1 port={Port} dbname={database} user={PostgresCluster.User}";

    /// <summary>By its peer_id, from 1.</summary>
    public PoolerProcess this[int peer] => _processes[peer];

    public EndPoint UnixEndPointOf(int peer) => new UnixDomainSocketEndPoint($"{_folders[peer - 1]}/.s.PGSQL.{Port}");

    public async Task<PoolerProcess> StartAsync(int peer)
    {
        PoolerProcess process = await PoolerProcess.StartBesideAsync(IniOf(peer), Port);
        _processes.Add(peer, process);
        return process;
    }

    public PoolerIni IniOf(int peer)
    {
        var ini = new PoolerIni();
        ini.Databases[database] = $"host=127.0.0.1 port={postgres.Port} dbname={database}";
        ini.Settings["so_reuseport"] = "1";
        ini.Settings["peer_id"] = $"{peer}";
        ini.Settings["unix_socket_dir"] = _folders[peer - 1];
        for (int other = 1; other <= _folders.Length; other++)
            ini.Peers[$"{other}"] = $"host={_folders[other - 1]} port={Port}";
        adjust?.Invoke(ini);
        return ini;
    }

    /// <summary>A client of whichever process the kernel gives it to; <see cref="PeerOf"/> tells which.</summary>
    public async Task<PgWire> LoginAsync(int protocol = PgRequest.Protocol30)
    {
        PgWire wire = await PgWire.ConnectAsync(EndPoint);
        await wire.LoginAsync(protocol, database, PostgresCluster.User);
        return wire;
    }

    /// <summary>A client of this process.</summary>
    public async Task<PgWire> LoginAsync(int peer, string user, string name)
    {
        PgWire wire = await PgWire.ConnectAsync(UnixEndPointOf(peer));
        await wire.LoginAsync(name, user);
        return wire;
    }

    public Task<PgWire> LoginAtAsync(int peer) => LoginAsync(peer, PostgresCluster.User, database);

    public async Task<List<Dictionary<string, string?>>> ConsoleAsync(int peer, string command)
    {
        using PgWire wire = await LoginAsync(peer, PoolerIni.Admin, "pgbouncer");
        return (await wire.QueryAsync(command)).ToMaps();
    }

    /// <summary>As PgBouncer's keys name it: the second and third byte, low byte first.</summary>
    public static int PeerOf(PgWire client) => client.Key[1] | (client.Key[2] << 8);

    /// <summary>Sends a cancel request there and waits until the connection is closed.</summary>
    public static async Task CancelAsync(EndPoint where, byte[] key)
    {
        using PgWire cancel = await PgWire.ConnectAsync(where);
        await cancel.SendAsync(PgRequest.Cancel(key));
        Assert.Empty(await cancel.ReadToEndAsync());
    }

    /// <summary>That one has ended by itself.</summary>
    public async Task EndedAsync(int peer)
    {
        PoolerProcess process = _processes[peer];
        Assert.True(await process.WaitForExitAsync(Patience.Default), process.Log);
        Assert.True(process.ExitCode == 0, process.Log);
        Assert.DoesNotContain("defect", process.Log, StringComparison.Ordinal);
        _processes.Remove(peer);
        await process.EndAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (PoolerProcess process in _processes.Values)
            await process.DisposeAsync();
        Array.ForEach(_folders, static folder => Directory.Delete(folder, recursive: true));
    }
}
