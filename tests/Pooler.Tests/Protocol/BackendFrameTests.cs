using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class BackendFrameTests
{
    [Theory]
    [InlineData('Z', 5, false)]
    [InlineData('Z', 6, true)]
    [InlineData('Z', 7, false)]
    [InlineData('2', 5, true)]
    [InlineData('2', 6, false)]
    [InlineData('S', 5, false)]
    [InlineData('S', 65_536, true)]
    [InlineData('S', 65_537, false)]
    [InlineData('C', 65_537, false)]
    [InlineData('E', 5, false)]
    [InlineData('E', 1_000_000, true)]
    [InlineData('D', 0x7fffffff + 1L, true)]
    [InlineData('D', 0, false)]
    [InlineData('d', 5, true)]
    [InlineData('\0', 5, true)]
    public void EachTypeHasItsLengths(char type, long length, bool isPossible) =>
        Assert.Equal(isPossible, BackendFrame.IsPossible((byte)type, length));

    [Fact]
    public void AnyTypeCanBeTold()
    {
        Assert.Equal("'Z'", BackendFrame.Describe((byte)'Z'));
        Assert.Equal("0x00", BackendFrame.Describe(0));
        Assert.Equal("0xFF", BackendFrame.Describe(0xff));
        Assert.Equal("protocol violation: impossible length -1 of message 'D' from server", BackendFrame.Problem([(byte)'D', 0xff, 0xff, 0xff, 0xff]));
    }

    [Fact]
    public void AFieldIsFoundByItsCodeAlone()
    {
        Assert.True(ErrorFields.Has("SFATAL\0VFATAL\0C57P01\0\0"u8, (byte)'V', "FATAL"u8));
        Assert.False(ErrorFields.Has("SERROR\0VERROR\0MVFATAL\0\0"u8, (byte)'V', "FATAL"u8));
        Assert.False(ErrorFields.Has("SERROR\0MVFATAL\0\0"u8, (byte)'V', "FATAL"u8));
        Assert.True(ErrorFields.Has("VFATAL"u8, (byte)'V', "FATAL"u8));
        Assert.False(ErrorFields.Has("VERROR\0VFATAL\0\0"u8, (byte)'V', "FATAL"u8));
        Assert.False(ErrorFields.Has("\0VFATAL\0"u8, (byte)'V', "FATAL"u8));
        Assert.False(ErrorFields.Has(default, (byte)'V', "FATAL"u8));
    }
}
