namespace Pooler.Net;

/// <summary>
/// What an I/O thread asks of the kernel; epoll and io_uring are its two heirs. Sessions, leases and rules do not know which.
/// Belongs to one I/O thread.
/// </summary>
internal abstract class Engine
{
    private PollTarget?[] _byFd = new PollTarget?[256];
    private uint _generation;

    /// <summary>The word of io_engine.</summary>
    public abstract string Name { get; }

    /// <summary>Sends take the bytes at once or not at all; otherwise the kernel owns the outbox's buffer for a while.</summary>
    public abstract bool SendsAtOnce { get; }

    /// <summary>Submits what was asked for, waits (milliseconds; -1 for ever), and reports what came to its targets.</summary>
    public abstract void Turn(IoThread thread, int timeout);

    /// <summary>Bytes received: above 0; 0 at the end of the stream; else the negative errno, EAGAIN when nothing is there.</summary>
    public abstract int Receive(Connection connection, Span<byte> buffer);

    /// <summary>Bytes taken by the kernel, or the negative errno, EAGAIN when it has no room; where <see cref="SendsAtOnce"/> is true.</summary>
    public virtual int Send(Connection connection, ReadOnlySpan<byte> data) => Syscalls.Send(connection.Fd, data);

    /// <summary>The outbox has something to send; only where <see cref="SendsAtOnce"/> is false.</summary>
    public abstract void QueueSend(Connection connection);

    /// <summary>The same without waiting for the end of the turn: the outbox has filled a block.</summary>
    public abstract void SendNow(Connection connection);

    /// <summary>The connection is closed while the kernel may still read from its buffer: kept until the send has completed.</summary>
    public abstract void Orphan(Connection connection, byte[] buffer);

    /// <summary>
    /// Takes a connection out of this engine without closing it, for its move to another thread; <paramref name="done"/> is
    /// false when bytes came meanwhile and it stays.
    /// </summary>
    public abstract void Release(Connection connection, Action<bool> done);

    public abstract void Close();

    /// <summary>Buffers the kernel has filled and nobody has taken yet; epoll has none.</summary>
    public virtual int BuffersOut => 0;

    /// <summary>Sends that outlive their connection; epoll has none.</summary>
    public virtual int Orphans => 0;

    /// <summary>Registers a descriptor; its events come to the target. Returns 0 or the negative errno.</summary>
    public int Add(int fd, PollTarget target)
    {
        if (fd >= _byFd.Length)
        {
            Array.Resize(ref _byFd, Math.Max(fd + 1, _byFd.Length * 2));
        }

        // A closed descriptor's events may still be under way: the generation tells them apart.
        target.Generation = ++_generation == 0 ? ++_generation : _generation;
        int result = Watch(fd, target);
        _byFd[fd] = result == 0 ? target : null;
        return result;
    }

    /// <summary>No more events of this descriptor, for now.</summary>
    public void Remove(int fd, PollTarget target)
    {
        _byFd[fd] = null;
        Unwatch(fd, target);
    }

    /// <summary>No more events of this descriptor, and it is closed.</summary>
    public void Close(int fd, PollTarget target)
    {
        _byFd[fd] = null;
        if (!ForgetsByClose)
        {
            Unwatch(fd, target);
        }

        Syscalls.Close(fd);
    }

    protected PollTarget? Find(int fd, uint generation) =>
        fd < _byFd.Length && _byFd[fd] is { } target && target.Generation == generation ? target : null;

    internal bool Owns(Connection connection) => Find(connection.Fd, connection.Generation) == connection;

    internal void Forget(int fd) => _byFd[fd] = null;

    /// <summary>The kernel forgets a descriptor that is closed by itself.</summary>
    protected abstract bool ForgetsByClose { get; }

    protected abstract int Watch(int fd, PollTarget target);

    protected abstract void Unwatch(int fd, PollTarget target);
}
