using CsCheck;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class ConnectStringTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("  ", "")]
    [InlineData("host=db1 port=5433", "host|db1;port|5433")]
    [InlineData("host = db1\tport =5433 ", "host|db1;port|5433")]
    [InlineData("connect_query='select ''x'' as y' host=a", "connect_query|select 'x' as y;host|a")]
    [InlineData("password=a=b", "password|a=b")]
    [InlineData("password=it's", "password|it's")]
    [InlineData("host=a\nport=1", "host|a;port|1")]
    [InlineData("datestyle='ISO, DMY'", "datestyle|ISO, DMY")]
    public void ReadsPairs(string text, string expected)
    {
        Assert.True(ConnectString.TryParse(text, out List<KeyValuePair<string, string>> pairs, out string? problem), problem);
        Assert.Equal(expected, string.Join(';', pairs.Select(static pair => pair.Key + "|" + pair.Value)));
    }

    [Fact]
    public void WhatIsQuotedComesBack() => Gen.String[1, 30].Sample(static value =>
        ConnectString.TryParse($"key = '{value.Replace("'", "''", StringComparison.Ordinal)}'", out var pairs, out _)
            && pairs.Single().Value == value);

    [Fact]
    public void NoTextBreaksTheReader() => Gen.String[Gen.Char["' =a\t"], 0, 40].Sample(static text =>
        ConnectString.TryParse(text, out _, out string? problem) == problem is null);

    [Theory]
    [InlineData("host", "expected key=value pairs")]
    [InlineData("=x", "expected key=value pairs")]
    [InlineData("host=a port", "expected key=value pairs")]
    [InlineData("host=", "host has no value")]
    [InlineData("host= port=1", null)]
    [InlineData("password=''", "password has no value")]
    [InlineData("password='hidden", "the quoted value of password has no closing quote")]
    [InlineData("password='hidden'x=1", "a blank is missing after the closing quote of password")]
    public void SaysWhatIsWrongWithoutTheValue(string text, string? start)
    {
        bool right = ConnectString.TryParse(text, out List<KeyValuePair<string, string>> pairs, out string? problem);
        if (start is null)
        {
            // As in PgBouncer blanks around = belong to it, so the next word is the value.
            Assert.True(right);
            Assert.Equal("port=1", pairs[0].Value);
            return;
        }

        Assert.False(right);
        Assert.StartsWith(start, problem, StringComparison.Ordinal);
        Assert.DoesNotContain("hidden", problem, StringComparison.Ordinal);
    }
}
