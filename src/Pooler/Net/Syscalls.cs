using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Pooler.Net;

/// <summary>
/// The Linux system calls the event loop is made of, as safe methods over spans. The only file with unsafe code.
/// Every method returns the kernel's result, or the negative errno.
/// </summary>
internal static unsafe partial class Syscalls
{
    public const int EAGAIN = 11, EINTR = 4, EMFILE = 24, ENFILE = 23, ENOBUFS = 105, ENOMEM = 12, EINPROGRESS = 115, ECONNABORTED = 103, ETIME = 62, ECANCELED = 125, EPROTO = 71, ETIMEDOUT = 110,
        EBUSY = 16, ENOENT = 2, ENOSYS = 38, EAFNOSUPPORT = 97, EADDRNOTAVAIL = 99;
    public const int AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;
    public const uint EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDHUP = 0x2000, EPOLLET = 1u << 31;

    private const int SOCK_STREAM = 1, SOCK_NONBLOCK = 0x800, SOCK_CLOEXEC = 0x80000;
    private const int EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2;
    private const int EPOLL_CLOEXEC = 0x80000, EFD_NONBLOCK = 0x800, EFD_CLOEXEC = 0x80000, FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129;
    private const int MSG_NOSIGNAL = 0x4000;
    private const int SHUT_WR = 1;
    private const int RLIMIT_NOFILE = 7;

    /// <summary>struct epoll_event is packed on x86-64 only (see epoll_ctl(2)).</summary>
    private static readonly bool Packed = RuntimeInformation.ProcessArchitecture == Architecture.X64;

    // recv, send and epoll_wait go past libc's own: those are cancellation points, and the bookkeeping around them was 4 % of the time of a
    // pooled `select 1`.
    private static readonly nint EpollPwaitNumber = Packed ? 281 : 22, RecvfromNumber = Packed ? 45 : 207, SendtoNumber = Packed ? 44 : 206, FutexNumber = Packed ? 202 : 98;

    public static readonly int EpollEventSize = Packed ? 12 : 16;

    private static readonly int EpollDataOffset = Packed ? 4 : 8;

    [ThreadStatic]
    private static byte[]? t_random;

    [ThreadStatic]
    private static int t_randomLeft;

    public static int EpollCreate() => Result(epoll_create1(EPOLL_CLOEXEC));

    public static int EpollAdd(int epoll, int fd, uint events, ulong data)
    {
        byte* e = stackalloc byte[16];
        Unsafe.WriteUnaligned(e, events);
        Unsafe.WriteUnaligned(e + EpollDataOffset, data);
        return Result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, e));
    }

    public static int EpollRemove(int epoll, int fd) => Result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, null));

    /// <summary>Waits up to <paramref name="timeout"/> milliseconds (-1: for ever) and fills <paramref name="events"/>.</summary>
    public static int EpollWait(int epoll, Span<byte> events, int timeout)
    {
        fixed (byte* p = events)
        {
            return Result((int)syscall(EpollPwaitNumber, epoll, (nint)p, events.Length / EpollEventSize, timeout, 0, 8));
        }
    }

    /// <summary>The same with a timeout in nanoseconds (epoll_pwait2, Linux 5.11).</summary>
    public static int EpollWaitPrecise(int epoll, Span<byte> events, long nanoseconds)
    {
        long* time = stackalloc long[2];
        time[0] = nanoseconds / 1_000_000_000;
        time[1] = nanoseconds % 1_000_000_000;
        fixed (byte* p = events)
        {
            return Result((int)syscall(441, epoll, (nint)p, events.Length / EpollEventSize, (nint)time, 0, 8));
        }
    }

    public static (uint Events, ulong Data) EpollEvent(ReadOnlySpan<byte> events, int index)
    {
        ReadOnlySpan<byte> e = events.Slice(index * EpollEventSize, EpollEventSize);
        return (MemoryMarshal.Read<uint>(e), MemoryMarshal.Read<ulong>(e[EpollDataOffset..]));
    }

    public static void ClearEpollEvent(Span<byte> events, int index) => events.Slice(index * EpollEventSize, 4).Clear();

    public static int EventFd() => Result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

    public static void EventFdSignal(int fd)
    {
        ulong one = 1;
        _ = write(fd, (byte*)&one, 8);
    }

    public static void EventFdClear(int fd)
    {
        ulong value;
        _ = read(fd, (byte*)&value, 8);
    }

    /// <summary>Sleeps while the word is that; 0, or why it does not any more: ETIMEDOUT, EAGAIN, EINTR.</summary>
    /// <param name="word">Pinned, of one element.</param>
    public static int FutexWait(int[] word, int value, TimeSpan patience)
    {
        long* time = stackalloc long[2];
        (time[0], time[1]) = (patience.Ticks / TimeSpan.TicksPerSecond, patience.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
        fixed (int* p = word)
        {
            return -Math.Min(0, Result((int)syscall(FutexNumber, (nint)p, FUTEX_WAIT_PRIVATE, value, (nint)time, 0, 0)));
        }
    }

    /// <summary>Wakes one that sleeps there.</summary>
    public static void FutexWake(int[] word)
    {
        fixed (int* p = word)
        {
            _ = syscall(FutexNumber, (nint)p, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
        }
    }

    public static int Socket(int family) => Result(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

    public static int Bind(int fd, SocketAddress address)
    {
        fixed (byte* p = address.Buffer.Span)
        {
            return Result(bind(fd, p, address.Size));
        }
    }

    public static int Listen(int fd, int backlog) => Result(listen(fd, backlog));

    public static int Accept(int fd) => Result(accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC));

    public static int Connect(int fd, SocketAddress address)
    {
        fixed (byte* p = address.Buffer.Span)
        {
            return Result(connect(fd, p, address.Size));
        }
    }

    /// <summary>The peer's (or the local) address as the kernel gives it.</summary>
    public static SocketAddress? Name(int fd, bool peer)
    {
        var address = new SocketAddress(System.Net.Sockets.AddressFamily.Unspecified, 128);
        int size = 128;
        fixed (byte* p = address.Buffer.Span)
        {
            int result = peer ? getpeername(fd, p, &size) : getsockname(fd, p, &size);
            if (result < 0)
            {
                return null;
            }
        }

        address.Size = size;
        return address;
    }

    public static int Receive(int fd, Span<byte> buffer)
    {
        fixed (byte* p = buffer)
        {
            return Result((int)syscall(RecvfromNumber, fd, (nint)p, buffer.Length, 0, 0, 0));
        }
    }

    public static int Send(int fd, ReadOnlySpan<byte> data)
    {
        fixed (byte* p = data)
        {
            return Result((int)syscall(SendtoNumber, fd, (nint)p, data.Length, MSG_NOSIGNAL, 0, 0));
        }
    }

    /// <summary>A system call by number, for which libc has no function (io_uring).</summary>
    public static int Raw(int number, nint a, nint b, nint c, nint d, nint e, nint f) => Result((int)syscall(number, a, b, c, d, e, f));

    /// <summary>Shared memory of a descriptor, or fresh memory for -1; null when it is refused.</summary>
    public static byte* Map(nuint length, int fd, long offset)
    {
        const int readWrite = 3, shared = 1, populate = 0x8000, isPrivate = 2, anonymous = 0x20;
        nint address = mmap(0, length, readWrite, fd >= 0 ? shared | populate : isPrivate | anonymous | populate, fd, offset);
        return address == -1 ? null : (byte*)address;
    }

    public static void Unmap(byte* address, nuint length)
    {
        if (address != null)
        {
            _ = munmap((nint)address, length);
        }
    }

    public static void ShutdownBoth(int fd) => _ = shutdown(fd, 2);

    public static void ShutdownWrite(int fd) => _ = shutdown(fd, SHUT_WR);

    public static void Close(int fd) => _ = close(fd);

    /// <summary>The value of a socket's option, or the negative errno.</summary>
    public static int Option(int fd, int level, int name)
    {
        int value, size = 4;
        int result = Result(getsockopt(fd, level, name, (byte*)&value, &size));
        return result < 0 ? result : value;
    }

    public static int SetOption(int fd, int level, int name, int value) => Result(setsockopt(fd, level, name, (byte*)&value, 4));

    /// <summary>
    /// Lets a listener hear nothing more of new connections (SYN without ACK), or nothing at all. Who is not heard asks again, by when
    /// another may listen there. A classic BPF program on the TCP header (socket(7), SO_ATTACH_FILTER); the kernel may refuse it.
    /// </summary>
    public static int Deafen(int fd, bool toAll)
    {
        const int socketLevel = 1, attachFilter = 26;
        const ushort loadByte = 0x30, and = 0x54, jumpIfEqual = 0x15, give = 0x06;
        const uint flagsOffset = 13, syn = 0x02, ack = 0x10;
        ReadOnlySpan<ulong> all = [Instruction(give, 0, 0, 0)];
        ReadOnlySpan<ulong> newOnes =
        [
            Instruction(loadByte, 0, 0, flagsOffset), Instruction(and, 0, 0, syn | ack), Instruction(jumpIfEqual, 0, 1, syn),
            Instruction(give, 0, 0, 0), Instruction(give, 0, 0, uint.MaxValue),
        ];
        ReadOnlySpan<ulong> program = toAll ? all : newOnes;
        fixed (ulong* instructions = program)
        {
            // struct sock_fprog: how many, and where.
            ulong* filter = stackalloc ulong[] { (ulong)program.Length, (ulong)instructions };
            return Result(setsockopt(fd, socketLevel, attachFilter, (byte*)filter, 16));
        }

        static ulong Instruction(ushort code, byte ifTrue, byte ifFalse, uint value) => code | ((ulong)ifTrue << 16) | ((ulong)ifFalse << 24) | ((ulong)value << 32);
    }

    /// <summary>One whose connect and sends block for that long at most (SO_SNDTIMEO); for C libraries, on threads that may wait.</summary>
    public static int BlockingSocket(int family, TimeSpan limit)
    {
        const int socketLevel = 1, sendTimeout = 21;
        int fd = Result(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        nint* time = stackalloc nint[] { (nint)limit.TotalSeconds, limit.Milliseconds * 1000 };
        int result = fd < 0 ? fd : Result(setsockopt(fd, socketLevel, sendTimeout, (byte*)time, 2 * sizeof(nint)));
        return result < 0 ? result : fd;
    }

    /// <summary>The pending error of a socket (SO_ERROR), as a positive errno; 0 when there is none.</summary>
    public static int PendingError(int fd)
    {
        int value, size = 4;
        int result = getsockopt(fd, 1, 4, (byte*)&value, &size);
        return result < 0 ? Marshal.GetLastSystemError() : value;
    }

    /// <summary>The uid of a Unix socket's peer (SO_PEERCRED), or -1.</summary>
    public static int PeerUid(int fd)
    {
        int* credentials = stackalloc int[3];
        int size = 12;
        return getsockopt(fd, 1, 17, (byte*)credentials, &size) < 0 ? -1 : credentials[1];
    }

    /// <summary>The process at the other end of a Unix socket; 0 when it is not known.</summary>
    public static int PeerProcess(int fd)
    {
        int* credentials = stackalloc int[3];
        int size = 12;
        return getsockopt(fd, 1, 17, (byte*)credentials, &size) < 0 ? 0 : credentials[0];
    }

    public static int EffectiveUid() => (int)geteuid();

    /// <summary>Raises the soft limit of file descriptors to the hard one. Returns (before, now).</summary>
    public static (long Before, long Now) RaiseDescriptorLimit()
    {
        ulong* limit = stackalloc ulong[2];
        if (getrlimit(RLIMIT_NOFILE, limit) < 0)
        {
            return (-1, -1);
        }

        long before = (long)limit[0];
        limit[0] = limit[1];
        return setrlimit(RLIMIT_NOFILE, limit) < 0 ? (before, before) : (before, (long)limit[0]);
    }

    /// <summary>Whether there is such a process; also one that is not ours.</summary>
    public static bool ProcessExists(int id) => Result(kill(id, 0)) is 0 or -1; // EPERM: there is, of another user

    /// <summary>A session of our own, without a terminal (setsid(2)).</summary>
    public static void NewSession() => _ = setsid();

    /// <summary>Standard input, output and error are /dev/null from now on.</summary>
    public static void NullStandardStreams()
    {
        int fd = open("/dev/null", 2);
        for (int stream = 0; fd >= 0 && stream < 3; stream++)
        {
            _ = dup2(fd, stream);
        }

        if (fd > 2)
        {
            Close(fd);
        }
    }

    /// <summary>A descriptor that was handed to us becomes like our own: it does not block, and no child gets it.</summary>
    public static void Adopt(int fd)
    {
        const int setDescriptorFlags = 2, closeOnExec = 1, getFlags = 3, setFlags = 4, nonBlocking = 0x800;
        _ = fcntl(fd, setDescriptorFlags, closeOnExec);
        _ = fcntl(fd, setFlags, fcntl(fd, getFlags, 0) | nonBlocking);
    }

    /// <summary>Changes to a system user for good, with its groups. Returns 0 or the negative errno.</summary>
    public static int ChangeUser(string name, int user, int group)
    {
        int result = Result(initgroups(name, (uint)group));
        result = result < 0 ? result : Result(setgid((uint)group));
        return result < 0 ? result : Result(setuid((uint)user));
    }

    public static int SetMode(string path, int mode) => Result(chmod(path, (uint)mode));

    /// <summary>Gives a file to a group. Returns 0 or the negative errno.</summary>
    public static int SetGroup(string path, int group) => Result(chown(path, uint.MaxValue, (uint)group));

    public static string ErrorText(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Result(int result) => result >= 0 ? result : -Marshal.GetLastSystemError();

    /// <summary>
    /// Signals are heeded even if whoever started us had them ignored, as a shell does for what it runs with &amp; and nohup with SIGHUP:
    /// .NET would leave them so, PgBouncer does not. Before the first handler is registered.
    /// </summary>
    public static void HeedSignals()
    {
        ReadOnlySpan<int> heeded = [1, 2, 3, 10, 12, 15]; // SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM
        foreach (int number in heeded)
        {
            _ = signal(number, 0); // SIG_DFL
        }
    }

    /// <summary>
    /// Random bytes nobody can guess, from the kernel (getrandom(2)). .NET's own generator is OpenSSL's, which takes 3 MB and some
    /// milliseconds when it is first used; who has no passwords to check does without it.
    /// </summary>
    public static byte[] RandomBytes(int count)
    {
        byte[] bytes = new byte[count];
        FillRandom(bytes);
        return bytes;
    }

    /// <summary>The same without an array. Each thread fetches some for several times, and keeps none that was given out.</summary>
    public static void FillRandom(Span<byte> bytes)
    {
        // Up to 256 bytes come whole, and no signal interrupts.
        const int most = 256;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes.Length, most);
        byte[] kept = t_random ??= new byte[most];
        if (t_randomLeft < bytes.Length)
        {
            fixed (byte* p = kept)
            {
                t_randomLeft = getrandom(p, most, 0) == most ? most : throw new IOException("getrandom failed");
            }
        }

        Span<byte> given = kept.AsSpan(t_randomLeft - bytes.Length, bytes.Length);
        given.CopyTo(bytes);
        given.Clear();
        t_randomLeft -= bytes.Length;
    }

    [LibraryImport("libc")]
    private static partial nint getrandom(byte* buffer, nuint length, uint flags);

    [LibraryImport("libc")]
    private static partial nint signal(int number, nint handler);

    [LibraryImport("libc")]
    private static partial nint syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [LibraryImport("libc")]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc")]
    private static partial int epoll_ctl(int epoll, int op, int fd, byte* e);

    [LibraryImport("libc")]
    private static partial int eventfd(uint value, int flags);

    [LibraryImport("libc")]
    private static partial nint read(int fd, byte* buffer, nuint length);

    [LibraryImport("libc")]
    private static partial nint write(int fd, byte* buffer, nuint length);

    [LibraryImport("libc")]
    private static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc")]
    private static partial int bind(int fd, byte* address, int size);

    [LibraryImport("libc")]
    private static partial int listen(int fd, int backlog);

    [LibraryImport("libc")]
    private static partial int accept4(int fd, byte* address, int* size, int flags);

    [LibraryImport("libc")]
    private static partial int connect(int fd, byte* address, int size);

    [LibraryImport("libc")]
    private static partial int getpeername(int fd, byte* address, int* size);

    [LibraryImport("libc")]
    private static partial int getsockname(int fd, byte* address, int* size);

    [LibraryImport("libc")]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc")]
    private static partial int munmap(nint address, nuint length);

    [LibraryImport("libc")]
    private static partial int shutdown(int fd, int how);

    [LibraryImport("libc")]
    private static partial int close(int fd);

    [LibraryImport("libc")]
    private static partial int setsockopt(int fd, int level, int name, byte* value, int size);

    [LibraryImport("libc")]
    private static partial int getsockopt(int fd, int level, int name, byte* value, int* size);

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc")]
    private static partial int kill(int id, int signal);

    [LibraryImport("libc")]
    private static partial int setsid();

    [LibraryImport("libc")]
    private static partial int dup2(int from, int to);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc")]
    private static partial int fcntl(int fd, int command, int argument);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int initgroups(string name, uint group);

    [LibraryImport("libc")]
    private static partial int setgid(uint group);

    [LibraryImport("libc")]
    private static partial int setuid(uint user);

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, ulong* limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, ulong* limit);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chmod(string path, uint mode);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int chown(string path, uint user, uint group);
}
