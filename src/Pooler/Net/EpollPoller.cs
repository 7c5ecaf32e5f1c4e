namespace Pooler.Net;

/// <summary>
/// The epoll instance of one I/O thread. A socket is registered once, edge-triggered for both directions, and never touched
/// again until it is closed or moved: no epoll_ctl per query.
/// </summary>
internal sealed class EpollPoller
{
    private const int Batch = 256;
    private const uint Interest = Syscalls.EPOLLIN | Syscalls.EPOLLOUT | Syscalls.EPOLLRDHUP | Syscalls.EPOLLET;

    private readonly int _epoll;
    private readonly byte[] _events = GC.AllocateArray<byte>(Batch * Syscalls.EpollEventSize, pinned: true);

    public EpollPoller()
    {
        _epoll = Syscalls.EpollCreate();
        if (_epoll < 0)
        {
            throw new IOException("epoll_create1: " + Syscalls.ErrorText(-_epoll));
        }
    }

    /// <summary>Registers a socket under a tag that comes back with its events. Returns 0 or the negative errno.</summary>
    public int Add(int fd, ulong tag) => Syscalls.EpollAdd(_epoll, fd, Interest, tag);

    /// <summary>Registers a descriptor that is only read, level-triggered (a listener, the wake-up eventfd).</summary>
    public int AddReader(int fd, ulong tag) => Syscalls.EpollAdd(_epoll, fd, Syscalls.EPOLLIN, tag);

    public void Remove(int fd) => Syscalls.EpollRemove(_epoll, fd);

    public int Wait(int timeout)
    {
        int count = Syscalls.EpollWait(_epoll, _events, timeout);
        return count < 0 ? 0 : count;
    }

    public (uint Events, ulong Tag) this[int index] => Syscalls.EpollEvent(_events, index);

    /// <summary>The event was dispatched: a second pass over the batch finds it without events.</summary>
    public void MarkDone(int index) => Syscalls.ClearEpollEvent(_events, index);

    public void Close() => Syscalls.Close(_epoll);
}
