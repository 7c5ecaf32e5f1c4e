using System.Runtime.InteropServices;

namespace Pooler.IntegrationTests.Harness;

internal static class NativeMethods
{
    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    public static extern int Kill(int processId, int signal);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static extern long Syscall(long number, long first, long second, long third);

    [DllImport("libc", EntryPoint = "getpeername", SetLastError = true)]
    public static extern int GetPeerName(int descriptor, byte[] address, ref int length);

    [DllImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    public static extern int GetSockOpt(int descriptor, int level, int name, out int value, ref int length);

    [DllImport("libc", EntryPoint = "close")]
    public static extern int Close(int descriptor);
}
