using System.Buffers.Binary;

namespace Pooler.Protocol;

/// <summary>What the header of a server's message may say, whoever speaks.</summary>
public static class BackendFrame
{
    /// <summary>
    /// Longest frame of a message that is short by its nature. libpq, too, takes a longer one for lost step
    /// (VALID_LONG_MESSAGE_TYPE, above 30,000 bytes).
    /// </summary>
    public const int MaxShort = 65_536;

    /// <summary>Whether a message of this type can have this frame length (<see cref="FrameHeader.FrameLength"/>).</summary>
    public static bool IsPossible(byte type, long frameLength)
    {
        switch (type)
        {
            case BackendMessage.ReadyForQuery:
                return frameLength == FrameHeader.Size + 1;
            case BackendMessage.BindComplete or BackendMessage.CloseComplete or BackendMessage.ParseComplete or BackendMessage.NoData
                or BackendMessage.EmptyQueryResponse or BackendMessage.PortalSuspended or BackendMessage.CopyDone:
                return frameLength == FrameHeader.Size;
            case BackendMessage.CommandComplete or BackendMessage.ParameterStatus:
                return frameLength is > FrameHeader.Size and <= MaxShort;
            case BackendMessage.ErrorResponse or BackendMessage.NoticeResponse:
                return frameLength > FrameHeader.Size; // The NUL behind the last field.
            default:
                return frameLength > 0;
        }
    }

    /// <summary>The sentence for a header that is not possible.</summary>
    public static string Problem(ReadOnlySpan<byte> header) =>
        $"protocol violation: impossible length {BinaryPrimitives.ReadInt32BigEndian(header[1..])} of message {Describe(header[0])} from server";

    /// <summary>A message's type for people: whoever is out of step sends any byte, and NUL would end our own message.</summary>
    public static string Describe(byte type) => type is > (byte)' ' and <= (byte)'~' ? $"'{(char)type}'" : $"0x{type:X2}";
}
