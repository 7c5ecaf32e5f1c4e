using System.Net;
using System.Text;
using CsCheck;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class ProxyHeaderTests
{
    private static readonly byte[] Signature = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];

    [Theory]
    [InlineData("PROXY TCP4 192.0.2.7 198.51.100.1 5000 6432\r\n", "192.0.2.7:5000")]
    [InlineData("PROXY TCP6 2001:db8::7 2001:db8::1 5000 6432\r\n", "[2001:db8::7]:5000")]
    [InlineData("PROXY UNKNOWN\r\n", null)]
    [InlineData("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", null)]
    public void ALineSaysWhose(string line, string? source) => AssertWhole(Encoding.ASCII.GetBytes(line), source);

    [Theory]
    [InlineData(0x21, 0x11, "C0000207 C6336401 1388 1920", "192.0.2.7:5000")]
    [InlineData(0x21, 0x11, "C0000207 C6336401 1388 1920 030004AABBCCDD", "192.0.2.7:5000")] // With a checksum behind.
    [InlineData(0x21, 0x21, "20010DB8000000000000000000000007 20010DB8000000000000000000000001 1388 1920", "[2001:db8::7]:5000")]
    [InlineData(0x20, 0x00, "", null)] // LOCAL: the proxy's own health check.
    [InlineData(0x20, 0x11, "C0000207 C6336401 1388 1920", null)]
    [InlineData(0x21, 0x00, "", null)]
    public void BytesSayWhose(int command, int family, string addresses, string? source) => AssertWhole(Binary(command, family, addresses), source);

    [Theory]
    [InlineData("PROXY TCP4 192.0.2.7 198.51.100.1 5000\r\n")]
    [InlineData("PROXY TCP4 192.0.2.7 198.51.100.1 5000 65536\r\n")]
    [InlineData("PROXY TCP4 192.0.2.7 198.51.100.1 -1 6432\r\n")]
    [InlineData("PROXY TCP4 2001:db8::7 2001:db8::1 5000 6432\r\n")]
    [InlineData("PROXY TCP4 7 8 5000 6432\r\n")]
    [InlineData("PROXY TCP4  192.0.2.7 198.51.100.1 5000 6432\r\n")]
    [InlineData("PROXY UDP4 192.0.2.7 198.51.100.1 5000 6432\r\n")]
    [InlineData("PROXY \r\n")]
    [InlineData("PROXY UNKNOWN 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n")]
    [InlineData("proxy TCP4 192.0.2.7 198.51.100.1 5000 6432\r\n")]
    [InlineData("\0\0\0\u0008")]
    [InlineData("GET / HTTP/1.0\r\n")]
    public void WhatIsNoHeaderIsMalformed(string text) => Assert.Equal(ProxyHeaderState.Malformed, ProxyHeader.Read(Encoding.ASCII.GetBytes(text), out _, out _));

    [Theory]
    [InlineData(0x11, 0x11, "C0000207 C6336401 1388 1920")]
    [InlineData(0x22, 0x11, "C0000207 C6336401 1388 1920")]
    [InlineData(0x21, 0x11, "C0000207 C6336401")]
    [InlineData(0x21, 0x21, "C0000207 C6336401 1388 1920")]
    public void BytesOfAnotherKindAreMalformed(int command, int family, string addresses) =>
        Assert.Equal(ProxyHeaderState.Malformed, ProxyHeader.Read(Binary(command, family, addresses), out _, out _));

    /// <summary>Whatever comes: an answer, and never a length beyond the bytes.</summary>
    [Fact]
    public void AnyBytesAreTaken() =>
        Gen.Select(Gen.Bool, Gen.Byte.Array[0, 300], static (isSigned, bytes) => isSigned ? [.. Signature, .. bytes] : bytes).Sample(static bytes =>
        {
            ProxyHeaderState state = ProxyHeader.Read(bytes, out int length, out _);
            return state != ProxyHeaderState.Whole || length <= bytes.Length;
        });

    /// <summary>Also byte by byte, and with more behind it.</summary>
    private static void AssertWhole(byte[] header, string? source)
    {
        for (int i = 0; i < header.Length; i++)
        {
            Assert.Equal(ProxyHeaderState.Incomplete, ProxyHeader.Read(header.AsSpan(0, i), out _, out _));
        }

        Assert.Equal(ProxyHeaderState.Whole, ProxyHeader.Read([.. header, 0, 0, 0, 8], out int length, out IPEndPoint? found));
        Assert.Equal((header.Length, source), (length, found?.ToString()));
    }

    private static byte[] Binary(int command, int family, string addresses)
    {
        byte[] rest = Convert.FromHexString(addresses.Replace(" ", "", StringComparison.Ordinal));
        return [.. Signature, (byte)command, (byte)family, (byte)(rest.Length >> 8), (byte)rest.Length, .. rest];
    }
}
