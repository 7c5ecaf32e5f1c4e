using Pooler.Net;

namespace Pooler.Tests.Net;

/// <summary>
/// A ring whose kernel is this class: real sockets, but what it is asked for it does late, in pieces, in another order between
/// connections, and now and then not at all. As the kernel, it holds a file of its own per operation and looks a descriptor up
/// when it is submitted. It watches that no buffer changes while it is the kernel's, and that no descriptor changes hands.
/// </summary>
internal sealed class HostileRing : IoRing
{
    // Few, so that they run out.
    private const int Provided = 6;

    private readonly Hostility _hostility;
    private readonly Action<string> _defect;
    private readonly byte[] _buffers = new byte[BufferCount * BufferSize];
    private readonly Queue<int> _free = new(Enumerable.Range(0, Provided));
    private readonly List<Operation> _filled = [], _running = [];
    private readonly Queue<(ulong Tag, int Result, uint Flags)> _completed = new();

    public HostileRing(Hostility hostility, Action<string> defect)
    {
        _hostility = hostility;
        _defect = defect;
        Array.Fill(_buffers, (byte)0xDB);
    }

    private enum Kind
    {
        PollReadable,
        PollWritable,
        PollHangUp,
        Accept,
        Receive,
        Send,
        Cancel,
    }

    public override byte[] Buffers => _buffers;

    /// <summary>Operations under way.</summary>
    public int Running => _running.Count + _filled.Count;

    public override void PollReadable(int fd, ulong tag) => Fill(Kind.PollReadable, fd, tag);

    public override void PollWritable(int fd, ulong tag) => Fill(Kind.PollWritable, fd, tag);

    public override void PollHangUp(int fd, ulong tag) => Fill(Kind.PollHangUp, fd, tag);

    public override void Accept(int fd, ulong tag) => Fill(Kind.Accept, fd, tag);

    public override void Receive(int fd, ulong tag) => Fill(Kind.Receive, fd, tag);

    public override void Send(int fd, byte[] data, int start, int length, ulong tag) =>
        _filled.Add(new Operation(Kind.Send, fd, tag, _hostility.Delay()) { Data = data.AsMemory(start, length), Copy = data.AsSpan(start, length).ToArray() });

    public override void Cancel(ulong tagToCancel, ulong tag) => _filled.Add(new Operation(Kind.Cancel, -1, tag, 0) { TagToCancel = tagToCancel });

    public override void Flush(int fd)
    {
        if (_filled.Exists(o => o.Fd == fd))
        {
            Submit();
        }
    }

    public override void Enter(int timeout)
    {
        Submit();
        Work();
        if (_completed.Count == 0 && timeout != 0)
        {
            Sleep(timeout);
            Work();
        }
    }

    public override void Close()
    {
        foreach (Operation operation in _running)
        {
            Syscalls.Close(operation.File);
        }
    }

    protected override bool TryTakeNext(out ulong tag, out int result, out uint flags)
    {
        bool taken = _completed.TryDequeue(out (ulong Tag, int Result, uint Flags) next);
        (tag, result, flags) = next;
        return taken;
    }

    protected override void Provide(int number)
    {
        if (_free.Contains(number))
        {
            _defect($"buffer {number} came back twice");
        }

        // Whoever still reads it reads this.
        _buffers.AsSpan(BufferStart(number), BufferSize).Fill(0xDB);
        _free.Enqueue(number);
    }

    private void Fill(Kind kind, int fd, ulong tag) => _filled.Add(new Operation(kind, fd, tag, _hostility.Delay()));

    private void Submit()
    {
        foreach (Operation operation in _filled)
        {
            if (operation.Kind == Kind.Cancel)
            {
                Operation? found = _running.Find(o => o.Tag == operation.TagToCancel);
                found?.IsCancelled = true;
                _completed.Enqueue((operation.Tag, found == null ? -Syscalls.ENOENT : 0, 0));
                continue;
            }

            if (Kernel.Identity(operation.Fd) != operation.Identity)
            {
                _defect($"{operation.Kind} of descriptor {operation.Fd} was submitted for another file");
            }

            operation.File = Kernel.Duplicate(operation.Fd);
            _running.Add(operation);
        }

        _filled.Clear();
    }

    private void Work()
    {
        _hostility.Shuffle(_running);
        for (int i = _running.Count - 1; i >= 0; i--)
        {
            Operation operation = _running[i];
            if (operation.Delay > 0)
            {
                operation.Delay--;
            }
            else if (!Try(operation))
            {
                operation.Delay = _hostility.Delay();
            }
            else
            {
                Syscalls.Close(operation.File);
                _running.RemoveAt(i);
            }
        }
    }

    /// <summary>True when the operation has ended.</summary>
    private bool Try(Operation operation)
    {
        // What is cancelled may yet come to something.
        if (operation.IsCancelled && _hostility.Chance(2, 3))
        {
            _completed.Enqueue((operation.Tag, -Syscalls.ECANCELED, 0));
            return true;
        }

        switch (operation.Kind)
        {
            case Kind.Receive:
                return Receive(operation);
            case Kind.Send:
                return Send(operation);
            case Kind.Accept:
                int accepted = _hostility.Chance(1, 30) ? -_hostility.Pick(Syscalls.EINTR, Syscalls.ECONNABORTED, 71) : Syscalls.Accept(operation.File); // EPROTO
                return accepted != -Syscalls.EAGAIN && Complete(operation, accepted, goesOn: accepted >= 0);
            case Kind.PollReadable:
                return IsReady(operation, Kernel.POLLIN) && Complete(operation, Kernel.POLLIN, goesOn: true);
            case Kind.PollWritable:
                return IsReady(operation, Kernel.POLLOUT) && Complete(operation, Kernel.POLLOUT, goesOn: false);
            default:
                return IsReady(operation, Kernel.POLLRDHUP) && Complete(operation, Kernel.POLLRDHUP, goesOn: false);
        }
    }

    private bool Receive(Operation operation)
    {
        if (_free.Count == 0 || _hostility.Chance(1, 25))
        {
            return Complete(operation, -_hostility.Pick(Syscalls.ENOBUFS, Syscalls.EAGAIN, Syscalls.EINTR, Syscalls.ENOMEM), goesOn: false);
        }

        if (_hostility.Kills())
        {
            Syscalls.ShutdownBoth(operation.File);
            return Complete(operation, -104, goesOn: false); // ECONNRESET
        }

        int buffer = _free.Peek();
        int result = Syscalls.Receive(operation.File, _buffers.AsSpan(BufferStart(buffer), _hostility.Cut(BufferSize)));
        if (result == -Syscalls.EAGAIN)
        {
            return false;
        }

        if (result <= 0)
        {
            return Complete(operation, result, goesOn: false);
        }

        _free.Dequeue();
        return Complete(operation, result, goesOn: !_hostility.Chance(1, 8), IoRing.CompletionHasBuffer | ((uint)buffer << 16));
    }

    private bool Send(Operation operation)
    {
        if (!operation.Data.Span.SequenceEqual(operation.Copy))
        {
            _defect("a buffer changed while it was being sent");
        }

        if (_hostility.Chance(1, 25))
        {
            return Complete(operation, -_hostility.Pick(Syscalls.EINTR, Syscalls.EAGAIN), goesOn: false);
        }

        if (_hostility.Kills())
        {
            // No memory for these bytes, and the socket lives on.
            return Complete(operation, -_hostility.Pick(Syscalls.ENOBUFS, Syscalls.ENOMEM), goesOn: false);
        }

        int result = Syscalls.Send(operation.File, operation.Data.Span[.._hostility.Cut(operation.Data.Length)]);
        return result != -Syscalls.EAGAIN && Complete(operation, result, goesOn: false);
    }

    private bool Complete(Operation operation, int result, bool goesOn, uint flags = 0)
    {
        goesOn &= !operation.IsCancelled || result > 0;
        _completed.Enqueue((operation.Tag, result, flags | (goesOn ? CompletionHasMore : 0)));
        return !goesOn;
    }

    private static bool IsReady(Operation operation, short events) =>
        Kernel.Poll([new Kernel.PollFd { Fd = operation.File, Events = events }], 1, 0) > 0;

    private void Sleep(int timeout)
    {
        bool isHeldUp = _running.Exists(static o => o.Delay > 0 || o.IsCancelled);
        var fds = new Kernel.PollFd[_running.Count];
        for (int i = 0; i < fds.Length; i++)
        {
            fds[i] = new Kernel.PollFd
            {
                Fd = _running[i].File,
                Events = _running[i].Kind switch
                {
                    Kind.Send or Kind.PollWritable => Kernel.POLLOUT,
                    Kind.PollHangUp => Kernel.POLLRDHUP,
                    _ => Kernel.POLLIN,
                },
            };
        }

        _ = Kernel.Poll(fds, fds.Length, isHeldUp ? timeout < 0 ? 1 : Math.Min(timeout, 1) : timeout);
    }

    private sealed class Operation(Kind kind, int fd, ulong tag, int delay)
    {
        public Kind Kind => kind;

        public int Fd => fd;

        public ulong Tag => tag;

        /// <summary>What the descriptor stood for when it was asked.</summary>
        public ulong Identity { get; } = Kernel.Identity(fd);

        public int File { get; set; } = -1;

        public int Delay { get; set; } = delay;

        public bool IsCancelled { get; set; }

        public ulong TagToCancel { get; init; }

        public ReadOnlyMemory<byte> Data { get; init; }

        public byte[] Copy { get; init; } = [];
    }
}
