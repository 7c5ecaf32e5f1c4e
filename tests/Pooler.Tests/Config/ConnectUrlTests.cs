using CsCheck;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class ConnectUrlTests
{
    [Theory]
    [InlineData("postgresql://", "port|5432")]
    [InlineData("postgres://db1", "host|db1;port|5432")]
    [InlineData("postgres://db1/", "host|db1;port|5432")]
    [InlineData("postgres://me@db1/shop", "user|me;host|db1;port|5432;dbname|shop")]
    [InlineData("postgres://me:a:b@db1:1/shop", "user|me;password|a:b;host|db1;port|1;dbname|shop")]
    [InlineData("postgres://m%20e:%2F%3f%40@db1/a%2fb", "user|m e;password|/?@;host|db1;port|5432;dbname|a/b")]
    [InlineData("postgres://db1:1,db2:1/x", "host|db1,db2;port|1;dbname|x")]
    [InlineData("postgres://[::1]:1,[fe80::1]/x", "host|::1,fe80::1;port|1,5432;dbname|x")]
    [InlineData("postgres://db1/x?pool_size=3&connect_query=select%201", "host|db1;port|5432;dbname|x;pool_size|3;connect_query|select 1")]
    public void GivesPairs(string text, string expected)
    {
        Assert.True(ConnectUrl.IsOne(text));
        Assert.True(ConnectUrl.TryParse(text, out List<KeyValuePair<string, string>> pairs, out string? problem), problem);
        Assert.Equal(expected, string.Join(';', pairs.Select(static pair => pair.Key + "|" + pair.Value)));
    }

    [Theory]
    [InlineData("postgres://me:hidden%@db1/x", "a % in the URL")]
    [InlineData("postgres://me:hidden%4@db1/x", "a % in the URL")]
    [InlineData("postgres://me:hidden%zz@db1/x", "a % in the URL")]
    [InlineData("postgres://me:hidden@db1/x?sslmode=disable", "sslmode in a URL is not heeded")]
    public void SaysWhatIsWrongWithoutTheValue(string text, string start)
    {
        Assert.False(ConnectUrl.TryParse(text, out _, out string? problem));
        Assert.StartsWith(start, problem, StringComparison.Ordinal);
        Assert.DoesNotContain("hidden", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatIsEncodedComesBack() => Gen.String[1, 30].Where(static text => !text.Any(char.IsSurrogate)).Sample(static text =>
        ConnectUrl.TryParse($"postgres://{Uri.EscapeDataString(text)}:{Uri.EscapeDataString(text)}@h/{Uri.EscapeDataString(text)}", out var pairs, out _)
            && pairs.Count(pair => pair.Key is "user" or "password" or "dbname" && pair.Value == text) == 3);

    [Fact]
    public void NoTextBreaksIt() => Gen.String[Gen.Char[":/@?&=%[],a1"], 0, 40].Sample(static text =>
        ConnectUrl.TryParse("postgres://" + text, out _, out string? problem) == problem is null);
}
