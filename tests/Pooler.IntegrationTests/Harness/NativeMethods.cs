using System.Runtime.InteropServices;

namespace Pooler.IntegrationTests.Harness;

internal static class NativeMethods
{
    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    public static extern int Kill(int processId, int signal);
}
