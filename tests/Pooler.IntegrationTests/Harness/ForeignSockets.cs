using System.Buffers.Binary;

namespace Pooler.IntegrationTests.Harness;

/// <summary>The TCP sockets of another process, as descriptors of our own (pidfd_getfd(2)); skips the test where that is not allowed.</summary>
internal sealed class ForeignSockets : IDisposable
{
    private const long PidFdOpen = 434, PidFdGetFd = 438; // The same on all architectures.

    private readonly List<int> _descriptors = [];

    public ForeignSockets(int processId)
    {
        int process = (int)NativeMethods.Syscall(PidFdOpen, processId, 0, 0);
        Assert.SkipWhen(process < 0, "the kernel has no pidfd_open");
        _descriptors.Add(process);
        foreach (string path in Directory.GetFileSystemEntries($"/proc/{processId}/fd"))
        {
            int descriptor = (int)NativeMethods.Syscall(PidFdGetFd, process, int.Parse(Path.GetFileName(path)), 0);
            if (descriptor >= 0)
                _descriptors.Add(descriptor);
        }

        Assert.SkipWhen(_descriptors.Count == 1, "pidfd_getfd is not allowed here: it takes CAP_SYS_PTRACE");
    }

    /// <summary>The one whose peer has this port, over IPv4.</summary>
    public int To(int port) => _descriptors.First(descriptor =>
    {
        byte[] address = new byte[128];
        int length = address.Length;
        return NativeMethods.GetPeerName(descriptor, address, ref length) == 0 && BitConverter.ToInt16(address) == 2
            && BinaryPrimitives.ReadUInt16BigEndian(address.AsSpan(2)) == port;
    });

    public static int Option(int descriptor, int level, int name)
    {
        int length = sizeof(int);
        Assert.Equal(0, NativeMethods.GetSockOpt(descriptor, level, name, out int value, ref length));
        return value;
    }

    public void Dispose() => _descriptors.ForEach(static descriptor => Assert.Equal(0, NativeMethods.Close(descriptor)));
}
