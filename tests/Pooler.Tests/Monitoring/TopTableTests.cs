using Pooler.Monitoring;
using Xunit;

namespace Pooler.Tests.Monitoring;

public sealed class TopTableTests
{
    [Fact]
    public void NumbersStandAtTheRightAndTheLastColumnTakesTheRest()
    {
        var table = new TopTable(["Name", " Calls", "Text"], [["a", "1,000", "select"], ["longer", "2", "a long text that is cut"]], More: 3, "nothing");
        Assert.Equal(
            [
                "Name    Calls  Text",
                "a       1,000  select",
                "longer      2  a long te…",
                "and 3 more",
            ],
            table.Lines(width: 25, from: 0, most: 10));
        Assert.Equal(["Name    Calls  Text", "longer      2  a long te…"], table.Lines(25, from: 1, most: 1).Take(2));
    }

    [Fact]
    public void WithoutARowItSaysSo() => Assert.Equal(["nothing"], new TopTable(["Name"], [], 0, "nothing").Lines(80, 0, 10));

    [Theory]
    [InlineData("\e[2J", "?[2J")]
    [InlineData("a\r\nb\tc", "a  b c")]
    [InlineData("\u009b31m", "?31m")]
    [InlineData("\u202egnp", "?gnp")]
    [InlineData("\u2028x", " x")]
    [InlineData("naïve 数", "naïve 数")]
    public void NamesDoNothingToTheTerminal(string text, string shown) => Assert.Equal(shown, TopTable.Plain(text));

    [Theory]
    [InlineData("text", 4, "text")]
    [InlineData("texts", 4, "tex…")]
    [InlineData("a😀b", 3, "a…")]
    [InlineData("😀b", 1, "…")]
    [InlineData("text", 0, "")]
    public void NoHalfOfACharacterIsLeft(string text, int width, string shown) => Assert.Equal(shown, TopTable.Cut(text, width));

    [Theory]
    [InlineData(0.4, "0 µs")]
    [InlineData(999, "999 µs")]
    [InlineData(1234, "1.23 ms")]
    [InlineData(119_000_000, "119 s")]
    [InlineData(120_000_000, "2 min")]
    [InlineData(7_200_000_000, "2 h")]
    [InlineData(172_800_000_000, "2 days")]
    public void TimesAreShort(double microseconds, string shown) => Assert.Equal(shown, Figures.Time(microseconds));

    [Theory]
    [InlineData(999.0, "999 B")]
    [InlineData(1500.0, "1.5 kB")]
    [InlineData(123_456_789.0, "123 MB")]
    public void BytesAreShort(double bytes, string shown) => Assert.Equal(shown, Figures.Bytes(bytes));
}
