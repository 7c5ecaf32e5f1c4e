using System.Buffers.Text;

namespace Pooler.Protocol;

/// <summary>
/// Reads the attributes of a SCRAM message, <c>x=value</c> parted by commas, in the order RFC 5802 section 7 gives. It is strict: what
/// is out of place, cut short or left over is an error.
/// </summary>
internal ref struct ScramReader
{
    private ReadOnlySpan<byte> _rest;

    public ScramReader(ReadOnlySpan<byte> message)
    {
        _rest = message;
        AtEnd = message.IsEmpty;
    }

    /// <summary>True when every attribute has been read; a comma at the end promises one more.</summary>
    public bool AtEnd { get; private set; }

    /// <summary>What has not been read yet.</summary>
    public readonly ReadOnlySpan<byte> Rest => _rest;

    /// <summary>Reads the next attribute, which must have this name; the value may be empty.</summary>
    public bool TryRead(char name, out ReadOnlySpan<byte> value)
    {
        value = default;
        return _rest.Length >= 2 && _rest[0] == name && TryReadAny(out _, out value);
    }

    /// <summary>Reads the next attribute, whatever its name.</summary>
    public bool TryReadAny(out char name, out ReadOnlySpan<byte> value)
    {
        name = '\0';
        value = default;
        if (_rest.Length < 2 || _rest[1] != '=' || !char.IsAsciiLetter((char)_rest[0]))
            return false;
        name = (char)_rest[0];
        int comma = _rest.IndexOf((byte)',');
        AtEnd = comma < 0;
        value = AtEnd ? _rest[2..] : _rest[2..comma];
        _rest = AtEnd ? default : _rest[(comma + 1)..];
        return true;
    }

    /// <summary>
    /// Skips extensions up to an attribute or the end; false at a mandatory one, at a known name out of place, or at rubbish.
    /// </summary>
    public bool TrySkipExtensions(char until = '\0')
    {
        while (!AtEnd)
        {
            if (until != '\0' && _rest.Length >= 2 && _rest[0] == until)
                return true;
            if (!TryReadAny(out char name, out ReadOnlySpan<byte> value) || "anmrcsipve".Contains(name) || value.IsEmpty)
                return false;
        }

        return until == '\0';
    }

    /// <summary>A nonce: printable ASCII without the comma, not empty.</summary>
    public static bool IsNonce(ReadOnlySpan<byte> value) =>
        !value.IsEmpty && !value.ContainsAnyExceptInRange((byte)0x21, (byte)0x7E) && !value.Contains((byte)',');

    /// <summary>Base64 with its padding and without the blanks .NET's decoder would let pass.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> text, out byte[] bytes)
    {
        bytes = [];
        if (text.ContainsAnyExceptInRange((byte)0x21, (byte)0x7E) || text.Length % 4 != 0)
            return false;
        var buffer = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        if (Base64.DecodeFromUtf8(text, buffer, out _, out int written) != System.Buffers.OperationStatus.Done)
            return false;
        bytes = buffer[..written];
        return true;
    }

    /// <summary>A count of 1 to 2^31-1 as RFC 5802 writes it: digits, the first not zero.</summary>
    public static bool TryReadIterations(ReadOnlySpan<byte> text, out int iterations)
    {
        iterations = 0;
        return !text.IsEmpty && text[0] is >= (byte)'1' and <= (byte)'9'
            && Utf8Parser.TryParse(text, out iterations, out int used) && used == text.Length;
    }
}
