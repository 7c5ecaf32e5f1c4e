using System.Buffers.Text;
using System.Text;
using Pooler.Backend;
using Xunit;

namespace Pooler.Tests.Backend;

/// <summary>How long what password_command has printed is kept.</summary>
public sealed class TokenLifeTests
{
    private static readonly TimeSpan s_keepTime = TimeSpan.FromMinutes(10);

    [Theory]
    [InlineData(3600, 600)]
    [InlineData(130, 100)]
    [InlineData(10, -20)]
    [InlineData(-100, -130)]
    public void ATokenIsNotKeptBeyondItsEnd(int endsIn, int kept)
    {
        string payload = $$"""{"exp":{{DateTimeOffset.UtcNow.ToUnixTimeSeconds() + endsIn}}}""";
        Assert.Equal(kept, TokenLife.Of($"x.{Encode(payload)}.x", s_keepTime).TotalSeconds, tolerance: 5);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("a.b")]
    [InlineData("pass.with.dots")]
    [InlineData("a.!!!!.c")]
    [InlineData("a..c")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"exp":"soon"}""")]
    [InlineData("""{"exp":1e400}""")]
    [InlineData("""{"exp":-1}""")]
    [InlineData("""{"exp":9223372036854775807}""")]
    public void WhatSaysNoEndIsKept(string text) =>
        Assert.Equal(s_keepTime, TokenLife.Of(text[0] is '{' or '[' ? $"x.{Encode(text)}.x" : text, s_keepTime));

    private static string Encode(string payload) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(payload));
}
