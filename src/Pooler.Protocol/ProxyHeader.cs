using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// The header that a proxy sends ahead of what its client says: whose connection it is (the PROXY protocol, versions 1 and 2, as
/// HAProxy specifies it in proxy-protocol.txt).
/// </summary>
public static class ProxyHeader
{
    /// <summary>Bytes of the longest line of version 1, its line feed included.</summary>
    private const int LongestLine = 107;

    /// <summary>Bytes of version 2 that we take: addresses and what may stand behind them, which is passed over.</summary>
    private const int Longest = 4_096;

    private const int SignatureLength = 12, FixedLength = 16;

    private static ReadOnlySpan<byte> Signature => [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];

    /// <summary>Reads the header at the front of <paramref name="data"/>.</summary>
    /// <param name="length">Its bytes, if it is whole.</param>
    /// <param name="source">The client's address; null when the proxy speaks for itself or does not know it: that of the connection counts.</param>
    public static ProxyHeaderState Read(ReadOnlySpan<byte> data, out int length, out IPEndPoint? source)
    {
        (length, source) = (0, null);
        int common = Math.Min(data.Length, SignatureLength);
        if (data[..common].SequenceEqual(Signature[..common]))
        {
            return data.Length < FixedLength ? ProxyHeaderState.Incomplete : ReadBinary(data, out length, out source);
        }

        ReadOnlySpan<byte> word = "PROXY "u8;
        common = Math.Min(data.Length, word.Length);
        return data[..common].SequenceEqual(word[..common]) ? ReadLine(data, out length, out source) : ProxyHeaderState.Malformed;
    }

    private static ProxyHeaderState ReadBinary(ReadOnlySpan<byte> data, out int length, out IPEndPoint? source)
    {
        source = null;
        int rest = BinaryPrimitives.ReadUInt16BigEndian(data[14..]);
        length = FixedLength + rest;
        int version = data[SignatureLength] >> 4, command = data[SignatureLength] & 0xF, family = data[13] >> 4, transport = data[13] & 0xF;
        if (version != 2 || command > 1 || length > Longest)
        {
            return ProxyHeaderState.Malformed;
        }

        if (data.Length < length)
        {
            return ProxyHeaderState.Incomplete;
        }

        if (command == 0 || transport != 1 || family is not (1 or 2))
        {
            return ProxyHeaderState.Whole; // LOCAL, UNSPEC or AF_UNIX: the connection's own address is all there is.
        }

        int size = family == 1 ? 4 : 16;
        if (rest < (2 * size) + 4)
        {
            return ProxyHeaderState.Malformed;
        }

        ReadOnlySpan<byte> addresses = data[FixedLength..];
        source = new IPEndPoint(new IPAddress(addresses[..size]), BinaryPrimitives.ReadUInt16BigEndian(addresses[(2 * size)..]));
        return ProxyHeaderState.Whole;
    }

    private static ProxyHeaderState ReadLine(ReadOnlySpan<byte> data, out int length, out IPEndPoint? source)
    {
        source = null;
        int end = data.IndexOf("\r\n"u8);
        length = end + 2;
        if (end < 0 || length > LongestLine)
        {
            return data.Length < LongestLine ? ProxyHeaderState.Incomplete : ProxyHeaderState.Malformed;
        }

        string[] fields = Encoding.ASCII.GetString(data[..end]).Split(' ');
        if (fields[1] == "UNKNOWN")
        {
            return ProxyHeaderState.Whole;
        }

        AddressFamily family = fields[1] == "TCP4" ? AddressFamily.InterNetwork : AddressFamily.InterNetworkV6;
        bool isRight = fields.Length == 6 && fields[1] is "TCP4" or "TCP6"
            && IsAddress(fields[2], family) && IsAddress(fields[3], family) && IsPort(fields[4]) && IsPort(fields[5]);
        source = isRight ? new IPEndPoint(IPAddress.Parse(fields[2]), int.Parse(fields[4], CultureInfo.InvariantCulture)) : null;
        return isRight ? ProxyHeaderState.Whole : ProxyHeaderState.Malformed;
    }

    private static bool IsAddress(string text, AddressFamily family) =>
        IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == family && (family != AddressFamily.InterNetwork || text.Count(static c => c == '.') == 3);

    private static bool IsPort(string text) => ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _);
}
