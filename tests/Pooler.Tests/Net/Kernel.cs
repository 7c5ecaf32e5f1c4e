using System.Runtime.InteropServices;

namespace Pooler.Tests.Net;

/// <summary>System calls the tests need and Pooler does not.</summary>
internal static class Kernel
{
    public const short POLLIN = 1, POLLOUT = 4, POLLRDHUP = 0x2000;

    /// <summary>Another descriptor of the same open file, as an operation of io_uring holds one.</summary>
    public static int Duplicate(int fd) => dup(fd);

    /// <summary>Closes the second and gives its number to the first's file, in one step.</summary>
    public static int Replace(int fd, int closed) => dup2(fd, closed);

    /// <summary>Waits up to the timeout in milliseconds and fills in what came.</summary>
    public static int Poll(PollFd[] fds, int count, int timeout) => poll(fds, (nuint)count, timeout);

    /// <summary>Tells one open file from another, whatever their numbers; 0 for none.</summary>
    public static ulong Identity(int fd)
    {
        byte[] status = new byte[256];
        return fstat(fd, status) == 0 ? BitConverter.ToUInt64(status, 8) : 0;
    }

    [DllImport("libc")]
    private static extern int dup(int fd);

    [DllImport("libc")]
    private static extern int dup2(int fd, int other);

    [DllImport("libc")]
    private static extern int poll([In, Out] PollFd[] fds, nuint count, int timeout);

    [DllImport("libc")]
    private static extern int fstat(int fd, byte[] status);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollFd
    {
        public int Fd;
        public short Events, Came;
    }
}
