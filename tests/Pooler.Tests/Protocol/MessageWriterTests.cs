using System.Buffers;
using System.Text;
using CsCheck;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class MessageWriterTests
{
    [Fact]
    public void MessagesOfAServerHaveTheirLayout()
    {
        Check("R:00000000", w => w.WriteAuthenticationOk());
        Check("R:00000003", w => w.WriteAuthenticationCleartext());
        Check("R:0000000501020304", w => w.WriteAuthenticationMd5([1, 2, 3, 4]));
        Check("R:0000000A410042420000", w => w.WriteAuthenticationSasl("A", "BB"));
        Check("R:0000000B723D", w => w.WriteAuthenticationSaslContinue("r="u8));
        Check("R:0000000C763D", w => w.WriteAuthenticationSaslFinal("v="u8));
        Check("S:61006200", w => w.WriteParameterStatus("a", "b"));
        Check("S:6100E900", w => w.WriteParameterStatus("a"u8, [0xE9]));
        Check("Z:49", w => w.WriteReadyForQuery((byte)'I'));
        Check("K:0000000701020304", w => w.WriteBackendKeyData(7, [1, 2, 3, 4]));
        Check("v:00030000000000015F70715F2E6100", w => w.WriteNegotiateProtocolVersion(0, "_pq_.a"));
        Check("v:0003000200000000", w => w.WriteNegotiateProtocolVersion(2));
        Check("C:53484F5700", w => w.WriteCommandComplete("SHOW"));
        Check("I:", w => w.WriteEmptyQueryResponse());
        Check("1:", w => w.WriteParseComplete());
        Check("2:", w => w.WriteBindComplete());
        Check("3:", w => w.WriteCloseComplete());
        Check("n:", w => w.WriteNoData());
        Check("s:", w => w.WritePortalSuspended());
        Check("t:00020000001700000019", w => w.WriteParameterDescription(23, 25));
        Check("t:0000", w => w.WriteParameterDescription());
        Check("D:00030000000161FFFFFFFF00000002C3A9", w => w.WriteDataRow("a", null, "é"));
        Check(
            "T:0001" + "6100" + "00000000" + "0000" + "00000019" + "FFFF" + "FFFFFFFF" + "0000",
            w => w.WriteRowDescription(new ColumnDescription("a", 25, -1)));
    }

    [Fact]
    public void MessagesOfAClientHaveTheirLayout()
    {
        Check("Q:7800", w => w.WriteQuery("x"));
        Check("Q:7800", w => w.WriteQuery("x"u8));
        Check("S:", w => w.WriteSync());
        Check("X:", w => w.WriteTerminate());
        Check("c:", w => w.WriteCopyDone());
        Check("f:6E6F00", w => w.WriteCopyFail("no"));
        Check("p:7000", w => w.WritePassword("p"));
        Check("p:7000", w => w.WritePassword("p"u8));
        Check("p:4100000000026E2C", w => w.WriteSaslInitialResponse("A", "n,"u8));
        Check("p:633D", w => w.WriteSaslResponse("c="u8));
    }

    [Fact]
    public void MessagesBeforeTheLoginHaveNoType()
    {
        Assert.Equal("0000000804D2162F", Hex(w => w.WriteSslRequest()));
        Assert.Equal("0000001004D2162E0000000701020304", Hex(w => w.WriteCancelRequest(7, [1, 2, 3, 4])));
        Assert.Equal(
            "00000010" + "00030000" + "7573657200" + "6100" + "00",
            Hex(w => w.WriteStartup(StartupPacket.Version30, new StartupParameter("user", "a"))));
    }

    [Fact]
    public void StartupIsReadBackAsWritten() =>
        Gen.Select(Gen.String[1, 20], Gen.String[0, 20]).List[0, 10].Sample(pairs =>
        {
            StartupParameter[] parameters =
            [
                new("user", "bob"),
                .. pairs.Select(p => new StartupParameter(Clean(p.Item1), Clean(p.Item2)))
                    .Where(p => p.Name is not ("" or "user" or "database" or "replication")),
            ];
            byte[] message = Bytes(w => w.WriteStartup(StartupPacket.Version32, parameters));
            Assert.True(StartupPacket.TryParse(message.AsSpan(4), out StartupPacket? packet, out string problem), problem);
            Assert.Equal(parameters, packet.Parameters);
            Assert.Equal(2, packet.Minor);
        });

    [Fact]
    public void ErrorIsReadBackAsWritten()
    {
        byte[] message = Bytes(w => w.WriteErrorResponse("FATAL", "08P01", "bad\0thing", detail: "d", hint: "h"));
        Assert.Equal((byte)'E', message[0]);
        Assert.Equal(new ErrorFields("FATAL", "08P01", "bad thing", "d", "h"), ErrorFields.Parse(message.AsSpan(5)));
        message = Bytes(w => w.WriteNotice("NOTICE", "00000", "SET ignored"));
        Assert.Equal((byte)'N', message[0]);
        Assert.Equal("SNOTICE\0VNOTICE\0C00000\0MSET ignored\0\0"u8, message.AsSpan(5));
    }

    [Fact]
    public void WhatWouldBreakAMessageIsRefusedWhole()
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new MessageWriter(output);
        Assert.Throws<ArgumentException>(() => writer.WriteQuery("select 1\0X"));
        Assert.Throws<ArgumentException>(() => writer.WritePassword("a\0"u8));
        Assert.Throws<ArgumentException>(() => writer.WriteParameterStatus("a", "b\0c\0d"));
        Assert.Throws<ArgumentException>(() => writer.WriteStartup(StartupPacket.Version30, new StartupParameter("", "x")));
        var smuggler = new StartupParameter("user", "a\0database\0b");
        Assert.Throws<ArgumentException>(() => writer.WriteStartup(StartupPacket.Version30, smuggler));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteAuthenticationMd5([1, 2, 3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteBackendKeyData(1, new byte[3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteBackendKeyData(1, new byte[257]));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteCancelRequest(1, []));
        Assert.Equal(0, output.WrittenCount);
        Assert.Equal(5 + 4 + 256, Bytes(w => w.WriteBackendKeyData(1, new byte[256])).Length);
    }

    private static string Clean(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text.Replace("\0", "")));

    private static void Check(string expected, Action<MessageWriter> write)
    {
        string hex = Hex(write);
        int length = (hex.Length / 2) - 1;
        string type = Convert.ToHexString(Encoding.ASCII.GetBytes(expected[..1]));
        Assert.Equal($"{type}{length:X8}{expected[2..]}", hex);
    }

    private static string Hex(Action<MessageWriter> write) => Convert.ToHexString(Bytes(write));

    private static byte[] Bytes(Action<MessageWriter> write)
    {
        var output = new ArrayBufferWriter<byte>();
        write(new MessageWriter(output));
        return output.WrittenSpan.ToArray();
    }
}
