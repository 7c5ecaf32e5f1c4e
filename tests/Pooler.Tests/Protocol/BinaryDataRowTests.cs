using System.Buffers;
using System.Text;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class BinaryDataRowTests
{
    private const int Text = 25, Int4 = 23, Int8 = 20, Numeric = 1700;

    /// <summary>What PostgreSQL's send functions give for these (int4send, int8send, numeric_send).</summary>
    [Theory]
    [InlineData(Int4, "-2", "FFFFFFFE")]
    [InlineData(Int4, "2147483647", "7FFFFFFF")]
    [InlineData(Int8, "4294967296", "0000000100000000")]
    [InlineData(Numeric, "0", "0000000000000000")]
    [InlineData(Numeric, "1", "00010000000000000001")]
    [InlineData(Numeric, "10000", "00010001000000000001")]
    [InlineData(Numeric, "-12345678", "000200014000000004D2162E")]
    [InlineData(Numeric, "9223372036854775807", "0005000400000000" + "039A0D2C0170156516AF")]
    [InlineData(Text, "12", "3132")]
    public void NumbersAreAsPostgresSendsThem(int type, string text, string binary)
    {
        Assert.Equal(binary, Convert.ToHexString(Write(new ColumnDescription("c", type, -1) { IsBinary = true }, text)!.AsSpan(11)));
        Assert.Equal(text, Encoding.UTF8.GetString(Write(new ColumnDescription("c", type, -1), text)!.AsSpan(11)));
    }

    [Fact]
    public void NullHasNoBytes() =>
        Assert.Equal("44" + "0000000A" + "0001" + "FFFFFFFF", Convert.ToHexString(Write(new ColumnDescription("c", Int4, 4) { IsBinary = true }, null)!));

    [Theory]
    [InlineData(Int4, "2147483648")]
    [InlineData(Int4, "yes")]
    [InlineData(Numeric, "1.5")]
    [InlineData(Int8, "")]
    public void WhatIsNoNumberIsRefused(int type, string text) => Assert.Null(Write(new ColumnDescription("c", type, -1) { IsBinary = true }, text));

    [Fact]
    public void ABrokenRowIsRefused()
    {
        ColumnDescription[] columns = [new("c", Text, -1)];
        var output = new ArrayBufferWriter<byte>();
        Assert.False(BinaryDataRow.TryWrite(output, [0, 1, 0, 0, 0, 9, 1], columns));
        Assert.False(BinaryDataRow.TryWrite(output, [0, 2, 255, 255, 255, 255, 255, 255, 255, 255], columns));
        Assert.False(BinaryDataRow.TryWrite(output, [0, 1, 255, 255, 255, 255, 0], columns));
        Assert.Equal(0, output.WrittenCount);
    }

    /// <summary>The whole frame; null when it was refused.</summary>
    private static byte[]? Write(ColumnDescription column, string? value)
    {
        var text = new ArrayBufferWriter<byte>();
        new MessageWriter(text).WriteDataRow(value);
        var output = new ArrayBufferWriter<byte>();
        return BinaryDataRow.TryWrite(output, text.WrittenSpan[FrameHeader.Size..], [column]) ? output.WrittenSpan.ToArray() : null;
    }
}
