using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Pooler.Net;

/// <summary>
/// One io_uring as the kernel shares it (io_uring_setup(2), io_uring_enter(2), linux/io_uring.h): the submission and completion
/// rings, and one ring of provided buffers for multishot receives. Needs Linux 6.1: DEFER_TASKRUN and SINGLE_ISSUER; multishot
/// receive and provided buffer rings came with 6.0 and 5.19. Raw memory, so this file is unsafe; nothing of it gets out.
/// </summary>
internal unsafe class Ring : IoRing
{
    private const byte OpNop = 0, OpPollAdd = 6, OpAccept = 13, OpCancel = 14, OpSend = 26, OpReceive = 27;
    private const int SetupCall = 425, EnterCall = 426, RegisterCall = 427;
    private const uint SetupCqSize = 1 << 3, SetupClamp = 1 << 4, SetupSubmitAll = 1 << 7, SetupSingleIssuer = 1 << 12, SetupDeferTaskRun = 1 << 13;
    private const uint FeatureSingleMap = 1 << 0, FeatureNoDrop = 1 << 1, FeatureExtArg = 1 << 8;
    private const uint EnterGetEvents = 1, EnterExtArg = 1 << 3;
    private const uint RegisterBufferRing = 22, RegisterSyncCancel = 24;
    private const uint CancelAll = 1 << 0, CancelAny = 1 << 2;
    private const long OffsetSqes = 0x10000000;
    private const int SqeSize = 64, CqeSize = 16, BufferEntrySize = 16;
    private const int MSG_NOSIGNAL = 0x4000, MSG_WAITALL = 0x100;

    // They are filled in turn, and each that was filled once stays in memory: a thread that is quiet has few, a busy one soon all.
    private const int FirstBuffers = 32;

    // A kernel that takes nothing for so long will not take anything.
    private const long MostMillisecondsRefused = 10_000;

    private static readonly ConcurrentBag<byte[]> s_neverFreed = [];

    // What the submission ring had no room for, in its order.
    private readonly Queue<Entry> _waiting = new();

    private int _fd;
    private byte* _rings, _sqes, _cqes, _bufferRing, _bufferBase;
    private nuint _ringBytes, _sqeBytes;
    private uint* _sqHead, _sqTail, _sqArray, _cqHead, _cqTail;
    private uint _sqMask, _cqMask, _sqEntries;
    private byte[] _buffers = [];
    private uint _localTail;
    private ushort _bufferTail;
    private int _provided;
    private int _fault;
    private long _refusedSince;

    public override byte[] Buffers => _buffers;

    /// <summary>Operations asked for and not yet taken by the kernel.</summary>
    public int Unsubmitted => (int)Filled + _waiting.Count;

    private uint Filled => _localTail - Volatile.Read(ref *_sqHead);

    /// <summary>Sets a ring up for the calling thread alone. Returns null and the errno when the kernel or its sandbox refuses.</summary>
    public static Ring? Create(int entries, out int error)
    {
        var ring = new Ring();
        error = ring.Open(entries);
        return error == 0 ? ring : null;
    }

    /// <summary>Returns 0 or the errno.</summary>
    internal int Open(int entries)
    {
        byte* parameters = stackalloc byte[120];
        Unsafe.InitBlock(parameters, 0, 120);
        uint* p = (uint*)parameters, sq = (uint*)(parameters + 40), cq = (uint*)(parameters + 80);
        p[1] = (uint)entries * 4;
        p[2] = SetupCqSize | SetupClamp | SetupSubmitAll | SetupSingleIssuer | SetupDeferTaskRun;
        _fd = Syscalls.Raw(SetupCall, entries, (nint)parameters, 0, 0, 0, 0);
        if (_fd < 0)
        {
            return -_fd;
        }

        _ringBytes = Math.Max(sq[6] + (p[0] * 4), cq[5] + (p[1] * CqeSize));
        _sqeBytes = p[0] * SqeSize;
        const uint needed = FeatureSingleMap | FeatureNoDrop | FeatureExtArg;
        int error = (p[5] & needed) != needed ? Syscalls.ENOSYS : Map();
        if (error != 0)
        {
            Syscalls.Close(_fd);
            Unmap();
            return error;
        }

        _sqHead = (uint*)(_rings + sq[0]);
        _sqTail = (uint*)(_rings + sq[1]);
        _sqMask = *(uint*)(_rings + sq[2]);
        _sqEntries = *(uint*)(_rings + sq[3]);
        _sqArray = (uint*)(_rings + sq[6]);
        _cqHead = (uint*)(_rings + cq[0]);
        _cqTail = (uint*)(_rings + cq[1]);
        _cqMask = *(uint*)(_rings + cq[2]);
        _cqes = _rings + cq[5];
        _localTail = *_sqTail;
        _buffers = GC.AllocateUninitializedArray<byte>(BufferCount * BufferSize, pinned: true);
        _bufferBase = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_buffers));
        ProvideUpTo(FirstBuffers);
        return 0;
    }

    public override void PollReadable(int fd, ulong tag) =>
        Fill(new Entry(OpPollAdd, fd, tag) { Length = 1, OpFlags = Syscalls.EPOLLIN | Syscalls.EPOLLRDHUP }); // POLL_ADD_MULTI

    public override void PollWritable(int fd, ulong tag) => Fill(new Entry(OpPollAdd, fd, tag) { OpFlags = Syscalls.EPOLLOUT });

    public override void PollHangUp(int fd, ulong tag) => Fill(new Entry(OpPollAdd, fd, tag) { OpFlags = Syscalls.EPOLLRDHUP });

    public override void Accept(int fd, ulong tag) =>
        Fill(new Entry(OpAccept, fd, tag) { OpFlags = 0x80800, IoPriority = 1 }); // SOCK_NONBLOCK | SOCK_CLOEXEC, multishot

    public override void Receive(int fd, ulong tag) =>
        Fill(new Entry(OpReceive, fd, tag) { IoPriority = 2, Flags = 1 << 5 }); // multishot; IOSQE_BUFFER_SELECT, group 0

    public override void Send(int fd, byte[] data, int start, int length, ulong tag) => Fill(new Entry(OpSend, fd, tag)
    {
        Address = (ulong)Unsafe.AsPointer(ref data[start]),
        Length = (uint)length,
        OpFlags = MSG_NOSIGNAL | MSG_WAITALL,
    });

    public override void Cancel(ulong tagToCancel, ulong tag) => Fill(new Entry(OpCancel, -1, tag) { Address = tagToCancel });

    public override void Flush(int fd)
    {
        if (!IsUnsubmitted(fd))
        {
            return;
        }

        Judge(Call((int)Filled, 0), (int)Filled);
        for (uint at = Volatile.Read(ref *_sqHead); at != _localTail; at++)
        {
            byte* sqe = SqeAt(at);
            if (*(int*)(sqe + 4) == fd)
            {
                ulong tag = *(ulong*)(sqe + 32);
                Unsafe.InitBlock(sqe, 0, SqeSize);
                *(ulong*)(sqe + 32) = tag;
            }
        }

        for (int n = _waiting.Count; n > 0; n--)
        {
            Entry entry = _waiting.Dequeue();
            _waiting.Enqueue(entry.Fd == fd ? new Entry(OpNop, -1, entry.Tag) : entry);
        }
    }

    /// <summary>
    /// Submits and waits. What the kernel did not take stays for the next time; one that refuses for good would leave everybody
    /// waiting, so it ends the process.
    /// </summary>
    public override void Enter(int timeout)
    {
        Refill();
        int toSubmit = (int)Filled;
        int result = Call(toSubmit, _waiting.Count > 0 ? 0 : timeout);
        Judge(result, toSubmit);
        if (result is -Syscalls.EAGAIN or -Syscalls.EBUSY)
        {
            // No memory for a request, or completions must be taken first: both may pass, and neither is worth a spinning core.
            Judge(Call(0, timeout == 0 ? 0 : 1), 0);
        }

        if (_fault != 0)
        {
            throw new IOException($"io_uring_enter failed: {Syscalls.ErrorText(_fault)}; io_engine = epoll does without it");
        }
    }

    public override void Close()
    {
        // Every operation ends before its memory goes: a receive under way would write into what is somebody else's by then.
        byte* cancel = stackalloc byte[64];
        Unsafe.InitBlock(cancel, 0, 64);
        *(int*)(cancel + 8) = -1;
        *(uint*)(cancel + 12) = CancelAll | CancelAny;
        *(long*)(cancel + 16) = 1; // seconds
        int result = Syscalls.Raw(RegisterCall, _fd, (nint)RegisterSyncCancel, (nint)cancel, 1, 0, 0);
        Call(0, 0);
        Syscalls.Close(_fd);
        Unmap();
        if (result < 0 && result != -Syscalls.ENOENT)
        {
            s_neverFreed.Add(_buffers);
        }
    }

    /// <summary>The clock of the kernel's patience.</summary>
    protected virtual long Milliseconds => Environment.TickCount64;

    /// <summary>io_uring_enter(2): entries submitted, or the negative errno.</summary>
    protected virtual int Call(int toSubmit, int timeout)
    {
        Volatile.Write(ref *_sqTail, _localTail);
        long* time = stackalloc long[2];
        time[0] = timeout / 1000;
        time[1] = timeout % 1000 * 1_000_000L;
        ulong* argument = stackalloc ulong[3];
        argument[0] = 0;
        argument[1] = 8;
        argument[2] = timeout > 0 ? (ulong)time : 0;
        return Syscalls.Raw(EnterCall, _fd, toSubmit, timeout == 0 ? 0 : 1, (nint)(EnterGetEvents | EnterExtArg), (nint)argument, 24);
    }

    protected override bool TryTakeNext(out ulong tag, out int result, out uint flags)
    {
        uint head = *_cqHead;
        if (head == Volatile.Read(ref *_cqTail))
        {
            (tag, result, flags) = (0, 0, 0);
            return false;
        }

        byte* cqe = _cqes + ((head & _cqMask) * CqeSize);
        tag = *(ulong*)cqe;
        result = *(int*)(cqe + 8);
        flags = *(uint*)(cqe + 12);
        Volatile.Write(ref *_cqHead, head + 1);
        if ((flags & CompletionHasBuffer) != 0 && BuffersOut + 1 == _provided && _provided < BufferCount)
        {
            ProvideUpTo(_provided * 2); // All are filled: for want of one the next receive would end.
        }

        return true;
    }

    protected override void Provide(int number)
    {
        byte* entry = _bufferRing + ((_bufferTail & (BufferCount - 1)) * BufferEntrySize);
        *(ulong*)entry = (ulong)(_bufferBase + BufferStart(number));
        *(uint*)(entry + 8) = BufferSize;
        *(ushort*)(entry + 12) = (ushort)number;
        Volatile.Write(ref *(ushort*)(_bufferRing + 14), ++_bufferTail);
    }

    private void ProvideUpTo(int count)
    {
        while (_provided < count)
        {
            Provide(_provided++);
        }
    }

    private int Map()
    {
        _rings = Syscalls.Map(_ringBytes, _fd, 0);
        _sqes = Syscalls.Map(_sqeBytes, _fd, OffsetSqes);
        _bufferRing = Syscalls.Map(BufferCount * BufferEntrySize, -1, 0);
        if (_rings == null || _sqes == null || _bufferRing == null)
        {
            return Syscalls.ENOMEM;
        }

        byte* registration = stackalloc byte[40];
        Unsafe.InitBlock(registration, 0, 40);
        *(ulong*)registration = (ulong)_bufferRing;
        *(uint*)(registration + 8) = BufferCount;
        return Math.Max(0, -Syscalls.Raw(RegisterCall, _fd, (nint)RegisterBufferRing, (nint)registration, 1, 0, 0));
    }

    private void Unmap()
    {
        Syscalls.Unmap(_rings, _ringBytes);
        Syscalls.Unmap(_sqes, _sqeBytes);
        Syscalls.Unmap(_bufferRing, BufferCount * BufferEntrySize);
    }

    private void Fill(in Entry entry)
    {
        if (_waiting.Count == 0 && Filled >= _sqEntries)
        {
            Judge(Call((int)Filled, 0), (int)Filled); // Full: what is there goes in first.
        }

        if (_waiting.Count > 0 || Filled >= _sqEntries)
        {
            _waiting.Enqueue(entry);
        }
        else
        {
            Write(entry);
        }
    }

    private void Refill()
    {
        while (_waiting.Count > 0 && Filled < _sqEntries)
        {
            Write(_waiting.Dequeue());
        }
    }

    private bool IsUnsubmitted(int fd)
    {
        for (uint at = Volatile.Read(ref *_sqHead); at != _localTail; at++)
        {
            if (*(int*)(SqeAt(at) + 4) == fd)
            {
                return true;
            }
        }

        foreach (Entry entry in _waiting)
        {
            if (entry.Fd == fd)
            {
                return true;
            }
        }

        return false;
    }

    private byte* SqeAt(uint at) => _sqes + ((at & _sqMask) * SqeSize);

    private void Write(in Entry entry)
    {
        byte* sqe = SqeAt(_localTail);
        Unsafe.InitBlock(sqe, 0, SqeSize);
        sqe[0] = entry.Op;
        sqe[1] = entry.Flags;
        *(ushort*)(sqe + 2) = entry.IoPriority;
        *(int*)(sqe + 4) = entry.Fd;
        *(ulong*)(sqe + 16) = entry.Address;
        *(uint*)(sqe + 24) = entry.Length;
        *(uint*)(sqe + 28) = entry.OpFlags;
        *(ulong*)(sqe + 32) = entry.Tag;
        _sqArray[_localTail & _sqMask] = _localTail & _sqMask;
        _localTail++;
    }

    /// <summary>Tells what passes from what does not (io_uring_enter(2)); remembered, since a session's frame is no place to end in.</summary>
    private void Judge(int result, int toSubmit)
    {
        switch (result)
        {
            case >= 0 or -Syscalls.ETIME or -Syscalls.EINTR:
                _refusedSince = result > 0 || toSubmit > 0 ? 0 : _refusedSince;
                break;
            case -Syscalls.EAGAIN or -Syscalls.EBUSY:
                long now = Milliseconds;
                _refusedSince = _refusedSince == 0 ? now : _refusedSince;
                _fault = now - _refusedSince > MostMillisecondsRefused ? -result : _fault;
                break;
            default:
                _fault = -result; // EBADR too: completions were lost, and with them whatever waits for them.
                break;
        }
    }

    /// <summary>The fields we use of a struct io_uring_sqe.</summary>
    private struct Entry(byte op, int fd, ulong tag)
    {
        public readonly byte Op = op;
        public readonly int Fd = fd;
        public readonly ulong Tag = tag;
        public byte Flags;
        public ushort IoPriority;
        public ulong Address;
        public uint Length, OpFlags;
    }
}
