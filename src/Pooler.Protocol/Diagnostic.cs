using System.Buffers;

namespace Pooler.Protocol;

/// <summary>Writes ErrorResponse and NoticeResponse (PostgreSQL documentation, 55.8 Error and Notice Message Fields).</summary>
internal static class Diagnostic
{
    public static void Write(
        IBufferWriter<byte> output, byte type, string severity, string sqlState, string message, string? detail, string? hint)
    {
        // S, V, C and M are always there; the rest may be missing. Our severities are not localised.
        ReadOnlySpan<(char Code, string? Text)> fields =
        [
            ('S', severity), ('V', severity), ('C', sqlState), ('M', message), ('D', detail), ('H', hint),
        ];
        int length = 1;
        foreach ((_, string? text) in fields)
            length = checked(length + (text is null ? 0 : 1 + FrameCursor.SizeOf(WithoutNul(text))));
        var frame = new FrameCursor(output, type, length);
        foreach ((char code, string? text) in fields)
        {
            if (text is null)
                continue;
            frame.Byte((byte)code);
            frame.CString(WithoutNul(text));
        }

        frame.Byte(0);
        frame.End();
    }

    /// <summary>Texts may quote what a peer sent; to report an error must not fail.</summary>
    private static string WithoutNul(string text) => text.Replace('\0', ' ');
}
