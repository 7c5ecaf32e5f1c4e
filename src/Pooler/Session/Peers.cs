using System.Collections.Immutable;
using Pooler.Config;
using Pooler.Net;

namespace Pooler.Session;

/// <summary>
/// The other processes of a group ([peers]; PgBouncer's src/objects.c, accept_cancel_request_for_peer). Behind one address a cancel
/// request comes to any of them: one whose key names another is passed on to it. All that is under way belongs to one I/O thread.
/// </summary>
internal sealed class Peers(IoThread thread, LiveConfig live, HostNames names)
{
    private ImmutableSortedDictionary<int, PeerPool> _pools = ImmutableSortedDictionary<int, PeerPool>.Empty;

    /// <summary>Of those that something was passed on to, by peer_id; any thread may read the counts.</summary>
    public ImmutableSortedDictionary<int, PeerPool> Pools => Volatile.Read(ref _pools);

    /// <summary>
    /// A cancel request for none of our clients came, on any thread. False when it cannot be passed on: it names no peer, this process, or was
    /// passed on often enough. Otherwise <paramref name="done"/> is called once, when the peer has done what it can or the time is over.
    /// </summary>
    public bool Pass(int processId, ReadOnlySpan<byte> secret, Action done)
    {
        PoolerConfig config = live.Current;
        int own = config.Get(Settings.PeerId), id = CancelKeys.PeerOf(processId);
        if (own == 0 || id == own || !config.Peers.TryGetValue(id, out PeerConfig? peer) || CancelKeys.PassedOn(secret) is not { } passed)
        {
            return false;
        }

        thread.Post(() => PoolOf(id).Add(new PeerCancel(thread, names, config, peer, processId, passed, done), SizeOf(config, peer)));
        return true;
    }

    /// <summary>Most at once, as SHOW PEERS tells it; 0: no limit.</summary>
    public static int SizeOf(PoolerConfig config, PeerConfig peer) => peer.PoolSize ?? config.Get(Settings.DefaultPoolSize);

    /// <summary>After a RELOAD, on any thread: what waits for a peer that is gone ends; the others go by the new entry from now on.</summary>
    public void Apply(PoolerConfig config) => thread.Post(() =>
    {
        PeerPool[] gone = [.. _pools.Where(pool => !config.Peers.ContainsKey(pool.Key)).Select(static pool => pool.Value)];
        Volatile.Write(ref _pools, _pools.RemoveRange(_pools.Keys.Where(id => !config.Peers.ContainsKey(id))));
        Array.ForEach(gone, static pool => pool.DropWaiting());
    });

    private PeerPool PoolOf(int id)
    {
        if (!_pools.TryGetValue(id, out PeerPool? pool))
        {
            Volatile.Write(ref _pools, _pools.Add(id, pool = new PeerPool()));
        }

        return pool;
    }
}
