using System.Text;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

/// <summary>The client's first message of OAUTHBEARER; ^ stands for the separator.</summary>
public sealed class OAuthBearerTests
{
    [Theory]
    [InlineData("n,,^auth=Bearer abc^^", "abc")]
    [InlineData("y,,^auth=Bearer abc^^", "abc")]
    [InlineData("n,,^auth=bEARER   a-b._~+/c==^^", "a-b._~+/c==")]
    [InlineData("n,,^host=x^port=5432^auth=Bearer abc^other=a b\tc^^", "abc")]
    [InlineData("n,,^auth=^^", "")]
    public void ReadsTheToken(string message, string token)
    {
        Assert.True(OAuthBearer.TryParse(Encoding.UTF8.GetBytes(message.Replace('^', '\u0001')), out ReadOnlySpan<byte> read, out _));
        Assert.Equal(token, Encoding.UTF8.GetString(read));
    }

    [Theory]
    [InlineData("")]
    [InlineData("n")]
    [InlineData("n,,")]
    [InlineData("n,,^")]
    [InlineData("n,,^^")]
    [InlineData("p=x,,^auth=Bearer abc^^")]
    [InlineData("n,a=joe,^auth=Bearer abc^^")]
    [InlineData("n,,auth=Bearer abc^^")]
    [InlineData("n,,^auth=Bearer abc")]
    [InlineData("n,,^auth=Bearer abc^")]
    [InlineData("n,,^auth=Bearer abc^^^")]
    [InlineData("n,,^auth=Bearer abc^^x")]
    [InlineData("n,,^auth=Bearer abc^auth=Bearer abc^^")]
    [InlineData("n,,^auth=^auth=Bearer abc^^")]
    [InlineData("n,,^auth=Bearer ^^")]
    [InlineData("n,,^auth=Bearer =^^")]
    [InlineData("n,,^auth=Bearer a=b^^")]
    [InlineData("n,,^auth=Bearer a b^^")]
    [InlineData("n,,^auth=Bearerabc^^")]
    [InlineData("n,,^auth=Basic abc^^")]
    [InlineData("n,,^auth=Bearer a\0b^^")]
    [InlineData("n,,^auth=Bearer \u00e4^^")]
    [InlineData("n,,^auth^^")]
    [InlineData("n,,^=x^auth=Bearer abc^^")]
    [InlineData("n,,^a1=x^auth=Bearer abc^^")]
    [InlineData("n,,^a=\0^auth=Bearer abc^^")]
    public void RefusesWhatIsNone(string message) =>
        Assert.False(OAuthBearer.TryParse(Encoding.UTF8.GetBytes(message.Replace('^', '\u0001')), out _, out _));
}
