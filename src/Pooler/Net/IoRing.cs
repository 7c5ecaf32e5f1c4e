namespace Pooler.Net;

/// <summary>
/// What the io_uring engine needs of a ring: operations go in with a tag, completions come out with it, in no order between
/// connections. The kernel's is <see cref="Ring"/>; the tests have one that is late, short and full of errors.
/// </summary>
internal abstract class IoRing
{
    public const uint CompletionHasBuffer = 1, CompletionHasMore = 2;

    /// <summary>Provided buffers: what may be received and not yet looked at, for all connections of the thread together.</summary>
    public const int BufferCount = 256, BufferSize = 8 * 1024;

    /// <summary>The array all provided buffers lie in; see <see cref="BufferStart"/>.</summary>
    public abstract byte[] Buffers { get; }

    /// <summary>Provided buffers that hold bytes of a completion and have not come back.</summary>
    public int BuffersOut { get; private set; }

    /// <summary>Where the numbered provided buffer begins.</summary>
    public static int BufferStart(int number) => number * BufferSize;

    /// <summary>Reports each time something to read has come, or the peer has ended its side.</summary>
    public abstract void PollReadable(int fd, ulong tag);

    /// <summary>Reports once that a connect has ended.</summary>
    public abstract void PollWritable(int fd, ulong tag);

    /// <summary>Reports once that the peer has ended its side.</summary>
    public abstract void PollHangUp(int fd, ulong tag);

    /// <summary>Accepts again and again.</summary>
    public abstract void Accept(int fd, ulong tag);

    /// <summary>Receives into provided buffers again and again, until an error, the end, or no buffer.</summary>
    public abstract void Receive(int fd, ulong tag);

    /// <summary>Sends all of it: the kernel goes on by itself after a short send. The array must be pinned and stay as it is.</summary>
    public abstract void Send(int fd, byte[] data, int start, int length, ulong tag);

    /// <summary>Asks for the end of the operation with this tag; both complete.</summary>
    public abstract void Cancel(ulong tagToCancel, ulong tag);

    /// <summary>
    /// The descriptor is about to be closed: what was asked for it goes in now or never. At the next turn its number may be
    /// somebody else's, who would be sent these bytes, or lose his own.
    /// </summary>
    public abstract void Flush(int fd);

    /// <summary>Submits what was asked for and waits for a completion, up to the timeout in milliseconds (-1: for ever, 0: not).</summary>
    public abstract void Enter(int timeout);

    /// <summary>Takes the oldest completion, or false.</summary>
    public bool TryTake(out ulong tag, out int result, out uint flags)
    {
        bool taken = TryTakeNext(out tag, out result, out flags);
        BuffersOut += taken && (flags & CompletionHasBuffer) != 0 ? 1 : 0;
        return taken;
    }

    public void ReturnBuffer(int number)
    {
        BuffersOut--;
        Provide(number);
    }

    public abstract void Close();

    protected abstract bool TryTakeNext(out ulong tag, out int result, out uint flags);

    /// <summary>Gives a buffer to the kernel to receive into.</summary>
    protected abstract void Provide(int number);
}
