using Pooler.Backend;
using Pooler.Protocol;
using System.Buffers.Binary;

namespace Pooler.Session;

/// <summary>Reads errors about prepared statements, and puts the client's name into those that say the server's.</summary>
internal static class StatementErrors
{
    public static StatementError Read(ReadOnlySpan<byte> body)
    {
        if (body.IndexOf("\0C0A000\0"u8) >= 0)
        {
            // By the routine: the message may be in any language.
            return body.IndexOf("\0RRevalidateCachedQuery\0"u8) >= 0 ? StatementError.PlanInvalid : StatementError.None;
        }

        return body.IndexOf("\0C26000\0"u8) >= 0 ? StatementError.Unknown
            : body.IndexOf("\0C42P05\0"u8) >= 0 ? StatementError.Duplicate
            : body.IndexOf("\0C08P01\0"u8) >= 0 ? StatementError.Misused
            : StatementError.None;
    }

    /// <summary>The ErrorResponse with the client's own name; false when it names none of its statements otherwise.</summary>
    public static bool TryRename(ReadOnlySpan<byte> body, ClientStatements statements, ServerConnection server, out byte[] frame)
    {
        frame = [];
        ReadOnlySpan<byte> text = Message(body, out int start);
        (int At, int Length, byte[] Name)? found = null;
        foreach ((byte[] name, PreparedStatement statement) in statements.AllSpokenOf)
        {
            byte[] there = statements.NameOn(server, statement);
            int at = IndexOfName(text, there);
            if (at >= 0 && there.AsSpan().SequenceEqual(name))
            {
                return false;
            }

            found = at >= 0 ? (at + start, there.Length, name) : found;
        }

        if (found is not { } place)
        {
            return false;
        }

        byte[] renamed = [.. body[..place.At], .. place.Name, .. body[(place.At + place.Length)..]];
        frame = new byte[FrameHeader.Size + renamed.Length];
        frame[0] = BackendMessage.ErrorResponse;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), renamed.Length + 4);
        renamed.CopyTo(frame, FrameHeader.Size);
        return true;
    }

    /// <summary>Whether the error names a statement that the server is known to hold.</summary>
    public static bool Names(ReadOnlySpan<byte> body, ServerStatements record)
    {
        ReadOnlySpan<byte> text = Message(body, out _);
        foreach (ServerStatement there in record.ToArray())
        {
            if (IndexOfName(text, there.Name) >= 0)
            {
                return true;
            }
        }

        return false;
    }

    private static ReadOnlySpan<byte> Message(ReadOnlySpan<byte> body, out int start)
    {
        int field = body.IndexOf("\0M"u8);
        start = field < 0 ? body.Length : field + 2;
        ReadOnlySpan<byte> text = body[start..];
        return text[..Math.Max(0, text.IndexOf((byte)0))];
    }

    /// <summary>The name between quotation marks of whatever language.</summary>
    private static int IndexOfName(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        int at = text.IndexOf(name);
        bool isQuoted = at > 0 && at + name.Length < text.Length && !IsWordByte(text[at - 1]) && !IsWordByte(text[at + name.Length]) && text[at - 1] != ' ';
        return isQuoted ? at : -1;
    }

    private static bool IsWordByte(byte b) => b == '_' || char.IsAsciiLetterOrDigit((char)b);
}
