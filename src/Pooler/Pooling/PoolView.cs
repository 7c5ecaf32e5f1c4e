using Pooler.Cluster;
using Pooler.Config;
using Pooler.Protocol;

namespace Pooler.Pooling;

/// <summary>A pool as it was at one moment, copied under the pools' lock: why its clients wait.</summary>
internal readonly record struct PoolView(
    PoolKey Key, PauseMode Pause, HostCluster? Cluster, ErrorFields? Failure, int Servers, int Waiting, PoolSettings Settings, int OfDatabase, int OfUser, int OfHost)
{
    private string Name => $"pool {Key.Database}/{Key.User}{(Key.Host is { } host ? $" at {host}" : "")}";

    public static PoolView Of(ServerPool pool) => new(
        pool.Key, pool.Pause, pool.ByHost?.Cluster, pool.LoginFailure, pool.Slots.Count, pool.Waiting, pool.Settings, pool.Database.Servers, pool.User.Servers,
        pool.Hosts is [var only] ? only.Servers : 0);

    public override string ToString() =>
        Pause != PauseMode.None ? $"The database {Key.Database} is paused on the console (PAUSE, SUSPEND, KILL) until RESUME."
        : Cluster != null ? $"No host may take the request: {string.Join("; ", Cluster.State.Hosts.Select(static h => h.Describe()))}."
        : Failure != null ? $"The last login to a server has failed: {Failure.Message}. {Failure.Detail}"
        : Cap() is { } cap ? $"The {Name} has {Servers} of {Settings.PoolSize} servers and may open no more: {cap}; {Waiting} clients wait."
        : $"The {Name} has {Servers} of {Settings.PoolSize} servers (pool_size), and none of them is free; {Waiting} clients wait.";

    private string? Cap() =>
        Settings.PoolSize > 0 && Servers >= Settings.PoolSize ? null
        : Settings.MaxDbConnections > 0 && OfDatabase >= Settings.MaxDbConnections ? $"max_db_connections = {Settings.MaxDbConnections} is reached"
        : Settings.MaxUserConnections > 0 && OfUser >= Settings.MaxUserConnections ? $"max_user_connections = {Settings.MaxUserConnections} is reached"
        : Settings.MaxHostConnections > 0 && OfHost >= Settings.MaxHostConnections ? $"max_host_connections = {Settings.MaxHostConnections} is reached"
        : null;
}
