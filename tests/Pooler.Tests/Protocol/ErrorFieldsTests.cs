using System.Text;
using CsCheck;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class ErrorFieldsTests
{
    [Fact]
    public void FieldsOfAnErrorAreRead()
    {
        ErrorFields fields = Parse("SFATALE\0VFATAL\0C28P01\0Mno\0Dd\0Hh\0Fauth.c\0L1\0Rf\0\0");
        Assert.Equal(new ErrorFields("FATAL", "28P01", "no", "d", "h"), fields);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\0")]
    [InlineData("C\0M\0\0")]
    [InlineData("Xwhat\0\0")]
    [InlineData("C")]
    [InlineData("C123\0\0")]
    [InlineData("C28p01\0\0")]
    [InlineData("C123456\0\0")]
    public void MissingFieldsHaveDefaults(string body) =>
        Assert.Equal(new ErrorFields("ERROR", "XX000", "server sent an error without a message", null, null), Parse(body));

    [Fact]
    public void SeverityThatIsNotLocalisedIsPreferred()
    {
        Assert.Equal("FATAL", Parse("SFATAL\0\0").Severity);
        Assert.Equal("FATAL", Parse("SSCHWERWIEGEND\0VFATAL\0\0").Severity);
    }

    [Fact]
    public void ABodyCutShortYieldsWhatItHolds()
    {
        ErrorFields fields = Parse("SERROR\0C42601\0Msyntax err");
        Assert.Equal("42601", fields.SqlState);
        Assert.Equal("syntax err", fields.Message);
    }

    [Fact]
    public void TextThatIsNotUtf8IsShownAsFarAsItGoes() =>
        Assert.Equal("n\uFFFDo", ErrorFields.Parse([(byte)'M', (byte)'n', 0xE9, (byte)'o', 0, 0]).Message);

    [Fact]
    public void RandomBodiesNeverThrow() => Gen.Byte.Array[0, 300].Sample(body =>
    {
        ErrorFields fields = ErrorFields.Parse(body);
        Assert.Equal(5, fields.SqlState.Length);
        Assert.NotEmpty(fields.Severity);
        Assert.NotEmpty(fields.Message);
    });

    private static ErrorFields Parse(string body) => ErrorFields.Parse(Encoding.UTF8.GetBytes(body));
}
