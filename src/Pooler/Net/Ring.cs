using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Pooler.Net;

/// <summary>
/// One io_uring as the kernel shares it (io_uring_setup(2), io_uring_enter(2), linux/io_uring.h): the submission and completion
/// rings, and one ring of provided buffers for multishot receives. Needs Linux 6.1: DEFER_TASKRUN and SINGLE_ISSUER; multishot
/// receive and provided buffer rings came with 6.0 and 5.19. Raw memory, so this file is unsafe; nothing of it gets out.
/// </summary>
internal sealed unsafe class Ring
{
    public const byte OpPollAdd = 6, OpAccept = 13, OpCancel = 14, OpSend = 26, OpReceive = 27;
    public const uint CompletionHasBuffer = 1, CompletionHasMore = 2;

    private const int SetupCall = 425, EnterCall = 426, RegisterCall = 427;
    private const uint SetupCqSize = 1 << 3, SetupClamp = 1 << 4, SetupSubmitAll = 1 << 7, SetupSingleIssuer = 1 << 12, SetupDeferTaskRun = 1 << 13;
    private const uint EnterGetEvents = 1, EnterExtArg = 1 << 3;
    private const uint RegisterBufferRing = 22;
    private const long OffsetSqes = 0x10000000;
    private const int SqeSize = 64, CqeSize = 16, BufferEntrySize = 16;
    private const int MSG_NOSIGNAL = 0x4000, MSG_WAITALL = 0x100;

    private readonly int _fd;
    private readonly byte* _rings, _sqes, _cqes;
    private readonly uint* _sqHead, _sqTail, _sqArray, _cqHead, _cqTail;
    private readonly uint _sqMask, _cqMask, _sqEntries;
    private readonly byte* _bufferRing;
    private readonly byte[] _buffers;
    private readonly byte* _bufferBase;
    private uint _toSubmit, _localTail;
    private ushort _bufferTail;

    private Ring(int fd, byte* parameters, byte* rings, byte* sqes, byte* bufferRing)
    {
        _fd = fd;
        _rings = rings;
        _sqes = sqes;
        uint* sq = (uint*)(parameters + 40), cq = (uint*)(parameters + 80);
        _sqHead = (uint*)(rings + sq[0]);
        _sqTail = (uint*)(rings + sq[1]);
        _sqMask = *(uint*)(rings + sq[2]);
        _sqEntries = *(uint*)(rings + sq[3]);
        _sqArray = (uint*)(rings + sq[6]);
        _cqHead = (uint*)(rings + cq[0]);
        _cqTail = (uint*)(rings + cq[1]);
        _cqMask = *(uint*)(rings + cq[2]);
        _cqes = rings + cq[5];
        _localTail = *_sqTail;
        _bufferRing = bufferRing;
        _buffers = GC.AllocateUninitializedArray<byte>(BufferCount * BufferSize, pinned: true);
        _bufferBase = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_buffers));
        for (ushort i = 0; i < BufferCount; i++)
        {
            ReturnBuffer(i);
        }
    }

    /// <summary>Provided buffers: what may be received and not yet looked at, for all connections of the thread together.</summary>
    public const int BufferCount = 256, BufferSize = 8 * 1024;

    /// <summary>Sets a ring up for the calling thread alone. Returns null and the errno when the kernel or its sandbox refuses.</summary>
    public static Ring? Create(int entries, out int error)
    {
        byte* parameters = stackalloc byte[120];
        Unsafe.InitBlock(parameters, 0, 120);
        uint* p = (uint*)parameters;
        p[1] = (uint)entries * 4;
        p[2] = SetupCqSize | SetupClamp | SetupSubmitAll | SetupSingleIssuer | SetupDeferTaskRun;
        int fd = Syscalls.Raw(SetupCall, entries, (nint)parameters, 0, 0, 0, 0);
        error = Math.Max(0, -fd);
        if (fd < 0)
        {
            return null;
        }

        uint* sq = (uint*)(parameters + 40), cq = (uint*)(parameters + 80);
        nuint ringBytes = Math.Max(sq[6] + (p[0] * 4), cq[5] + (p[1] * CqeSize));
        byte* rings = Syscalls.Map(ringBytes, fd, 0);
        byte* sqes = Syscalls.Map(p[0] * SqeSize, fd, OffsetSqes);
        byte* bufferRing = Syscalls.Map(BufferCount * BufferEntrySize, -1, 0);
        if (rings == null || sqes == null || bufferRing == null)
        {
            error = Syscalls.ENOMEM;
            Syscalls.Close(fd);
            return null;
        }

        byte* registration = stackalloc byte[40];
        Unsafe.InitBlock(registration, 0, 40);
        *(ulong*)registration = (ulong)bufferRing;
        *(uint*)(registration + 8) = BufferCount;
        int result = Syscalls.Raw(RegisterCall, fd, (nint)RegisterBufferRing, (nint)registration, 1, 0, 0);
        if (result < 0)
        {
            error = -result;
            Syscalls.Close(fd);
            return null;
        }

        return new Ring(fd, parameters, rings, sqes, bufferRing);
    }

    public void PollReadable(int fd, ulong tag) => Fill(OpPollAdd, fd, 0, 1, tag, opFlags: 1); // len = POLL_ADD_MULTI, flags = POLLIN

    public void PollWritable(int fd, ulong tag) => Fill(OpPollAdd, fd, 0, 0, tag, opFlags: 4); // POLLOUT, once

    public void Accept(int fd, ulong tag) => Fill(OpAccept, fd, 0, 0, tag, opFlags: 0x80800, ioprio: 1); // SOCK_NONBLOCK | SOCK_CLOEXEC, multishot

    /// <summary>Receives into provided buffers again and again, until an error, the end, or no buffer.</summary>
    public void Receive(int fd, ulong tag)
    {
        byte* sqe = Fill(OpReceive, fd, 0, 0, tag, ioprio: 2);
        sqe[1] = 1 << 5; // IOSQE_BUFFER_SELECT, group 0
    }

    /// <summary>Sends all of it: the kernel goes on by itself after a short send. The array must be pinned and stay as it is.</summary>
    public void Send(int fd, byte[] data, int start, int length, ulong tag) =>
        Fill(OpSend, fd, (ulong)Unsafe.AsPointer(ref data[start]), (uint)length, tag, opFlags: MSG_NOSIGNAL | MSG_WAITALL);

    /// <summary>Asks for the end of the operation with this tag; both complete.</summary>
    public void Cancel(ulong tagToCancel, ulong tag) => Fill(OpCancel, -1, tagToCancel, 0, tag);

    /// <summary>Submits what was filled in and waits for a completion, up to the timeout in milliseconds (-1: for ever, 0: not).</summary>
    public void Enter(int timeout)
    {
        Volatile.Write(ref *_sqTail, _localTail);
        long* time = stackalloc long[2];
        time[0] = timeout / 1000;
        time[1] = timeout % 1000 * 1_000_000L;
        ulong* argument = stackalloc ulong[3];
        argument[0] = 0;
        argument[1] = 8;
        argument[2] = timeout > 0 ? (ulong)time : 0;
        int submitted = Syscalls.Raw(
            EnterCall, _fd, (nint)_toSubmit, timeout == 0 ? 0 : 1, (nint)(EnterGetEvents | EnterExtArg), (nint)argument, 24);
        if (submitted > 0)
        {
            _toSubmit -= (uint)submitted;
        }
        else if (submitted is -Syscalls.ETIME or -Syscalls.EINTR)
        {
            _toSubmit = _localTail - Volatile.Read(ref *_sqHead);
        }
    }

    /// <summary>The oldest completion, or false. Taken off by <see cref="Next"/>.</summary>
    public bool TryPeek(out ulong tag, out int result, out uint flags)
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
        return true;
    }

    public void Next() => Volatile.Write(ref *_cqHead, *_cqHead + 1);

    /// <summary>The array all provided buffers lie in, and where the numbered one begins.</summary>
    public byte[] Buffers => _buffers;

    public static int BufferStart(int number) => number * BufferSize;

    public void ReturnBuffer(int number)
    {
        byte* entry = _bufferRing + ((_bufferTail & (BufferCount - 1)) * BufferEntrySize);
        *(ulong*)entry = (ulong)(_bufferBase + BufferStart(number));
        *(uint*)(entry + 8) = BufferSize;
        *(ushort*)(entry + 12) = (ushort)number;
        Volatile.Write(ref *(ushort*)(_bufferRing + 14), ++_bufferTail);
    }

    public void Close() => Syscalls.Close(_fd);

    private byte* Fill(byte op, int fd, ulong address, uint length, ulong tag, uint opFlags = 0, ushort ioprio = 0)
    {
        if (_localTail - Volatile.Read(ref *_sqHead) >= _sqEntries)
        {
            Enter(0); // Full: what is there goes in first.
        }

        uint index = _localTail & _sqMask;
        byte* sqe = _sqes + (index * SqeSize);
        Unsafe.InitBlock(sqe, 0, SqeSize);
        sqe[0] = op;
        *(ushort*)(sqe + 2) = ioprio;
        *(int*)(sqe + 4) = fd;
        *(ulong*)(sqe + 16) = address;
        *(uint*)(sqe + 24) = length;
        *(uint*)(sqe + 28) = opFlags;
        *(ulong*)(sqe + 32) = tag;
        _sqArray[index] = index;
        _localTail++;
        _toSubmit++;
        return sqe;
    }
}
