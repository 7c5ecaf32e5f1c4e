using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class MessageReaderTests
{
    [Fact]
    public void FieldsComeInOrder()
    {
        var reader = new MessageReader([7, 255, 254, 0, 0, 1, 0, 65, 195, 164, 0, 9, 9]);
        Assert.Equal((7, -2, 256, "Aä"), (reader.ReadByte(), reader.ReadInt16(), reader.ReadInt32(), reader.ReadString()));
        Assert.False(reader.IsWhole);
        Assert.Equal([9, 9], reader.Take(2).ToArray());
        Assert.True(reader.IsWhole);
    }

    [Fact]
    public void WhatIsCutShortIsSeen()
    {
        foreach (byte[] body in (byte[][])[[], [1], [0, 0, 1], "text"u8.ToArray()])
        {
            var number = new MessageReader(body);
            number.ReadInt32();
            var text = new MessageReader(body);
            text.ReadString();
            var bytes = new MessageReader(body);
            bytes.Take(5);
            var negative = new MessageReader(body);
            negative.Take(-1);
            Assert.False((body.Length == 4 ? false : number.IsWhole) || text.IsWhole || bytes.IsWhole || negative.IsWhole);
        }
    }
}
