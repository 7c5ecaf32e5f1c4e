namespace Pooler.Net;

/// <summary>The tcp_* settings as they are put on every TCP socket; zero means the kernel's default.</summary>
internal sealed record SocketOptions(bool KeepAlive, int KeepCount, int KeepIdle, int KeepInterval, int UserTimeoutMilliseconds, int BufferBytes)
{
    private const int SOL_SOCKET = 1, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_KEEPALIVE = 9;
    private const int IPPROTO_TCP = 6, TCP_NODELAY = 1, TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, TCP_USER_TIMEOUT = 18;

    public void Apply(int fd, bool isUnix)
    {
        if (BufferBytes > 0)
        {
            Syscalls.SetOption(fd, SOL_SOCKET, SO_SNDBUF, BufferBytes);
            Syscalls.SetOption(fd, SOL_SOCKET, SO_RCVBUF, BufferBytes);
        }

        if (isUnix)
        {
            return;
        }

        Syscalls.SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        SetIf(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UserTimeoutMilliseconds);
        if (KeepAlive)
        {
            Syscalls.SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
            SetIf(fd, IPPROTO_TCP, TCP_KEEPCNT, KeepCount);
            SetIf(fd, IPPROTO_TCP, TCP_KEEPIDLE, KeepIdle);
            SetIf(fd, IPPROTO_TCP, TCP_KEEPINTVL, KeepInterval);
        }
    }

    /// <summary>
    /// What this listener accepts from now on has them, without a system call for each: the kernel hands them down. A number that has
    /// been taken back becomes what a new socket has.
    /// </summary>
    public void HandDown(int listener)
    {
        if (BufferBytes > 0)
        {
            Syscalls.SetOption(listener, SOL_SOCKET, SO_SNDBUF, BufferBytes);
            Syscalls.SetOption(listener, SOL_SOCKET, SO_RCVBUF, BufferBytes);
        }

        Syscalls.SetOption(listener, IPPROTO_TCP, TCP_NODELAY, 1);
        Syscalls.SetOption(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, UserTimeoutMilliseconds);
        Syscalls.SetOption(listener, SOL_SOCKET, SO_KEEPALIVE, KeepAlive ? 1 : 0);
        int fresh = Syscalls.Socket(Syscalls.AF_INET);
        foreach ((int name, int value) in (ReadOnlySpan<(int, int)>)[(TCP_KEEPCNT, KeepCount), (TCP_KEEPIDLE, KeepIdle), (TCP_KEEPINTVL, KeepInterval)])
        {
            Syscalls.SetOption(listener, IPPROTO_TCP, name, value > 0 ? value : Syscalls.Option(fresh, IPPROTO_TCP, name));
        }

        Syscalls.Close(fresh);
    }

    private static void SetIf(int fd, int level, int name, int value)
    {
        if (value > 0)
        {
            Syscalls.SetOption(fd, level, name, value);
        }
    }
}
