using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// The fields of an ErrorResponse or NoticeResponse we use (PostgreSQL documentation, 55.8 Error and Notice Message Fields). Any of
/// them may be missing and the body may be cut short (a broken or hostile server): then defaults stand in and nothing is thrown.
/// </summary>
/// <param name="Severity">The severity that is never localised; else the localised one; else <c>ERROR</c>.</param>
/// <param name="SqlState">Five digits or upper-case letters; <c>XX000</c> if there is none of that shape.</param>
/// <param name="Message">The primary message.</param>
/// <param name="Detail">The detail, if any.</param>
/// <param name="Hint">The hint, if any.</param>
public sealed record ErrorFields(string Severity, string SqlState, string Message, string? Detail, string? Hint)
{
    /// <summary>SQLSTATE of an error that came without one: internal_error.</summary>
    public const string DefaultSqlState = "XX000";

    /// <summary>Text of an error that came without one.</summary>
    public const string DefaultMessage = "server sent an error without a message";

    /// <summary>Parses the body, what follows the length word. Of a field sent twice the first counts.</summary>
    public static ErrorFields Parse(ReadOnlySpan<byte> body)
    {
        string? severity = null;
        string? localised = null;
        string? sqlState = null;
        string? message = null;
        string? detail = null;
        string? hint = null;
        while (!body.IsEmpty && body[0] != 0)
        {
            byte code = body[0];
            body = body[1..];
            int end = body.IndexOf((byte)0);
            ReadOnlySpan<byte> value = end < 0 ? body : body[..end];
            body = end < 0 ? default : body[(end + 1)..];
            switch (code)
            {
                case (byte)'V': severity ??= NonEmpty(value); break;
                case (byte)'S': localised ??= NonEmpty(value); break;
                case (byte)'C': sqlState ??= IsSqlState(value) ? Encoding.ASCII.GetString(value) : null; break;
                case (byte)'M': message ??= NonEmpty(value); break;
                case (byte)'D': detail ??= NonEmpty(value); break;
                case (byte)'H': hint ??= NonEmpty(value); break;
                default: break;
            }
        }

        return new ErrorFields(severity ?? localised ?? "ERROR", sqlState ?? DefaultSqlState, message ?? DefaultMessage, detail, hint);
    }

    /// <summary>Whether a field of this code has this value. Only the first field of a code counts, and no text that looks like one.</summary>
    public static bool Has(ReadOnlySpan<byte> body, byte code, ReadOnlySpan<byte> value) => TryFind(body, code, out ReadOnlySpan<byte> found) && found.SequenceEqual(value);

    /// <summary>The SQLSTATE as it stands there, without an object for it; <c>XX000</c> if there is none of that shape.</summary>
    public static ReadOnlySpan<byte> CodeOf(ReadOnlySpan<byte> body) => TryFind(body, (byte)'C', out ReadOnlySpan<byte> found) && IsSqlState(found) ? found : "XX000"u8;

    private static bool TryFind(ReadOnlySpan<byte> body, byte code, out ReadOnlySpan<byte> value)
    {
        while (!body.IsEmpty && body[0] != 0)
        {
            int end = body.IndexOf((byte)0);
            ReadOnlySpan<byte> field = end < 0 ? body : body[..end];
            if (field[0] == code)
            {
                value = field[1..];
                return true;
            }

            body = end < 0 ? default : body[(end + 1)..];
        }

        value = default;
        return false;
    }

    private static string? NonEmpty(ReadOnlySpan<byte> value) => value.IsEmpty ? null : Encoding.UTF8.GetString(value);

    private static bool IsSqlState(ReadOnlySpan<byte> value)
    {
        if (value.Length != 5)
            return false;
        foreach (byte b in value)
        {
            if (!char.IsAsciiDigit((char)b) && !char.IsAsciiLetterUpper((char)b))
                return false;
        }

        return true;
    }
}
