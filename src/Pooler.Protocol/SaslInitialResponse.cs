using System.Buffers.Binary;

namespace Pooler.Protocol;

/// <summary>
/// Body of a client's SASLInitialResponse (PostgreSQL documentation, 55.7 Message Formats). The spans point into the body that was
/// parsed.
/// </summary>
public readonly ref struct SaslInitialResponse
{
    private SaslInitialResponse(ReadOnlySpan<byte> mechanism, bool hasData, ReadOnlySpan<byte> data)
    {
        Mechanism = mechanism;
        HasData = hasData;
        Data = data;
    }

    /// <summary>The mechanism the client chose.</summary>
    public ReadOnlySpan<byte> Mechanism { get; }

    /// <summary>False when the length is −1: the client waits for an empty challenge before it sends its first message.</summary>
    public bool HasData { get; }

    /// <summary>The mechanism's first message.</summary>
    public ReadOnlySpan<byte> Data { get; }

    /// <summary>Parses a body; the length it gives must be that of the rest, to the byte.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, out SaslInitialResponse response, out string problem)
    {
        response = default;
        problem = "invalid SASL initial response message";
        int end = body.IndexOf((byte)0);
        if (end < 0 || body.Length - end - 1 < 4)
            return false;
        int length = BinaryPrimitives.ReadInt32BigEndian(body[(end + 1)..]);
        ReadOnlySpan<byte> data = body[(end + 5)..];
        if (length != data.Length && !(length == -1 && data.IsEmpty))
            return false;
        response = new SaslInitialResponse(body[..end], length >= 0, data);
        problem = "";
        return true;
    }
}
