using System.Buffers.Binary;

namespace Pooler.Protocol;

/// <summary>
/// Body of a server's Authentication message (type <c>R</c>; PostgreSQL documentation, 55.7 Message Formats). The spans point into the
/// body that was parsed.
/// </summary>
public readonly ref struct AuthenticationRequest
{
    private AuthenticationRequest(AuthenticationKind kind, ReadOnlySpan<byte> data)
    {
        Kind = kind;
        Data = data;
    }

    /// <summary>What is asked; may be a number of no known kind.</summary>
    public AuthenticationKind Kind { get; }

    /// <summary>What follows the kind: the salt of an MD5 request, the list of mechanisms, the message of a SASL step.</summary>
    public ReadOnlySpan<byte> Data { get; }

    /// <summary>Parses a body; false when it is too short or too long for its kind.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, out AuthenticationRequest request)
    {
        request = default;
        if (body.Length < 4)
            return false;
        var kind = (AuthenticationKind)BinaryPrimitives.ReadInt32BigEndian(body);
        ReadOnlySpan<byte> data = body[4..];
        bool fits = kind switch
        {
            AuthenticationKind.Ok or AuthenticationKind.CleartextPassword => data.IsEmpty,
            AuthenticationKind.Md5Password => data.Length == Md5Password.SaltLength,
            // Every name ends in NUL and one more NUL ends the list.
            AuthenticationKind.Sasl => data.EndsWith((ReadOnlySpan<byte>)[0]) && (data.Length == 1 || data[^2] == 0),
            _ => true,
        };
        if (fits)
            request = new AuthenticationRequest(kind, data);
        return fits;
    }

    /// <summary>Whether an AuthenticationSASL offers this mechanism.</summary>
    public bool Offers(ReadOnlySpan<byte> mechanism)
    {
        if (Kind != AuthenticationKind.Sasl)
            return false;
        ReadOnlySpan<byte> rest = Data;
        while (rest.IndexOf((byte)0) is > 0 and int end)
        {
            if (rest[..end].SequenceEqual(mechanism))
                return true;
            rest = rest[(end + 1)..];
        }

        return false;
    }
}
