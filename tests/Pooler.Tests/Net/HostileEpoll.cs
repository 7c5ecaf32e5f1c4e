using Pooler.Net;

namespace Pooler.Tests.Net;

/// <summary>
/// An engine that sends at once, as epoll does, over real sockets: its events are late and in another order, reads and writes
/// are cut or find nothing, a release is refused or comes later.
/// </summary>
internal sealed class HostileEpoll(Hostility hostility) : Engine
{
    private const uint Interest = Syscalls.EPOLLIN | Syscalls.EPOLLOUT | Syscalls.EPOLLRDHUP | Syscalls.EPOLLET;

    private readonly int _epoll = Syscalls.EpollCreate();
    private readonly byte[] _events = GC.AllocateArray<byte>(256 * Syscalls.EpollEventSize, pinned: true);
    private readonly Dictionary<ulong, uint> _due = [];
    private readonly List<(Connection Connection, Action<bool> Done)> _releases = [];

    public override string Name => "epoll";

    public override bool SendsAtOnce => true;

    public override void Turn(IoThread thread, int timeout)
    {
        bool isHeldUp = _due.Count > 0 || _releases.Count > 0;
        int count = Math.Max(0, Syscalls.EpollWait(_epoll, _events, isHeldUp ? timeout < 0 ? 1 : Math.Min(timeout, 1) : timeout));
        thread.ReadClock();
        for (int i = 0; i < count; i++)
        {
            (uint events, ulong tag) = Syscalls.EpollEvent(_events, i);
            Due(tag, events);
        }

        DoReleases();
        List<ulong> now = [.. _due.Keys.Where(_ => hostility.Chance(3, 4))];
        hostility.Shuffle(now);

        // Idle servers first (architecture rule 12).
        foreach (ulong tag in now.OrderBy(t => Of(t) is { DispatchFirst: true } ? 0 : 1))
        {
            if (_due.Remove(tag, out uint events) && Of(tag) is { } target)
            {
                Keep(target);
                target.OnEvents(events);
            }
        }
    }

    protected override bool ForgetsByClose => false;

    public override int Receive(Connection connection, Span<byte> buffer)
    {
        if (hostility.Chance(1, 6))
        {
            connection.Readable = false;
            Due(Tag(connection.Fd, connection.Generation), Syscalls.EPOLLIN);
            return -Syscalls.EAGAIN;
        }

        if (hostility.Kills())
        {
            Syscalls.ShutdownBoth(connection.Fd);
            return -104; // ECONNRESET
        }

        int cut = hostility.Cut(buffer.Length);
        int result = Syscalls.Receive(connection.Fd, buffer[..cut]);
        connection.Readable = result > 0 && (result == cut || connection.HasHungUp);
        return result;
    }

    public override int Send(Connection connection, ReadOnlySpan<byte> data)
    {
        if (hostility.Chance(1, 8))
        {
            Due(Tag(connection.Fd, connection.Generation), Syscalls.EPOLLOUT);
            return -Syscalls.EAGAIN;
        }

        if (hostility.Kills())
        {
            return -hostility.Pick(Syscalls.ENOBUFS, Syscalls.ENOMEM);
        }

        return hostility.Chance(1, 20) ? -Syscalls.EINTR : Syscalls.Send(connection.Fd, data[..hostility.Cut(data.Length)]);
    }

    public override void QueueSend(Connection connection) => throw new NotSupportedException();

    public override void SendNow(Connection connection) => throw new NotSupportedException();

    public override void Orphan(Connection connection, byte[] buffer) => throw new NotSupportedException();

    public override void Release(Connection connection, Action<bool> done)
    {
        if (hostility.Chance(1, 4))
        {
            done(false);
        }
        else if (hostility.Chance(1, 2))
        {
            _releases.Add((connection, done));
        }
        else
        {
            LetGo(connection, done);
        }
    }

    public override void Close() => Syscalls.Close(_epoll);

    protected override int Watch(int fd, PollTarget target) =>
        Syscalls.EpollAdd(_epoll, fd, target is Connection ? Interest : Syscalls.EPOLLIN, Tag(fd, target.Generation));

    protected override void Unwatch(int fd, PollTarget target)
    {
        Syscalls.EpollRemove(_epoll, fd);
        Keep(target);
    }

    private static ulong Tag(int fd, uint generation) => ((ulong)generation << 32) | (uint)fd;

    private PollTarget? Of(ulong tag) => Find((int)(uint)tag, (uint)(tag >> 32));

    private void Due(ulong tag, uint events) => _due[tag] = _due.GetValueOrDefault(tag) | events;

    /// <summary>Something came before the release did: the connection stays.</summary>
    private void Keep(PollTarget target)
    {
        if (_releases.FindIndex(r => r.Connection == target) is var at and >= 0)
        {
            Action<bool> done = _releases[at].Done;
            _releases.RemoveAt(at);
            done(false);
        }
    }

    private void DoReleases()
    {
        for (int i = _releases.Count - 1; i >= 0; i--)
        {
            (Connection connection, Action<bool> done) = _releases[i];
            if (hostility.Chance(1, 2))
            {
                _releases.RemoveAt(i);
                LetGo(connection, done);
            }
        }
    }

    private void LetGo(Connection connection, Action<bool> done)
    {
        // Bytes that came meanwhile, or an event held back, keep it here.
        bool isFree = connection.MayLeave && !connection.Readable && !_due.ContainsKey(Tag(connection.Fd, connection.Generation));
        if (isFree)
        {
            Syscalls.EpollRemove(_epoll, connection.Fd);
            Forget(connection.Fd);
        }

        done(isFree);
    }
}
