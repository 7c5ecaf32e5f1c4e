namespace Pooler.Net;

/// <summary>What a completion belongs to: 24 bits of descriptor, 8 of operation, 32 of the generation of its owner.</summary>
internal static class RingTag
{
    internal enum Op : byte
    {
        Receive = 1,
        Send,
        Poll,
        Accept,
        Cancel,
        HangUp,
    }

    public static ulong Of(Op op, int fd, uint generation) => ((ulong)generation << 32) | ((ulong)op << 24) | (uint)fd;

    public static ulong Of(Op op, Connection connection) => Of(op, connection.Fd, connection.Generation);

    public static int FdOf(ulong tag) => (int)(tag & 0xFFFFFF);

    public static Op OpOf(ulong tag) => (Op)(byte)(tag >> 24);

    public static uint GenerationOf(ulong tag) => (uint)(tag >> 32);
}
