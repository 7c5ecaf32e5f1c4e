using CsCheck;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class UserlistTests
{
    [Fact]
    public void ReadsUsersAndSecrets()
    {
        Dictionary<string, string> secrets = Read("""
            ; people
            "alice" "clear"   what follows is ignored
              "bob" "md5d41d8cd98f00b204e9800998ecf8427e"

            "carol"	"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy" ""
            """);
        Assert.Equal(["alice", "bob", "carol"], secrets.Keys);
        Assert.Equal("clear", secrets["alice"]);
        Assert.Equal("md5d41d8cd98f00b204e9800998ecf8427e", secrets["bob"]);
        Assert.StartsWith("SCRAM-SHA-256$", secrets["carol"], StringComparison.Ordinal);
    }

    [Fact]
    public void DoubledQuotesStandForOne()
    {
        Dictionary<string, string> secrets = Read("\"a\"\"b\" \"\"\"x\"\"\"");
        Assert.Equal("\"x\"", secrets["a\"b"]);
    }

    [Fact]
    public void AnEmptySecretStays() => Assert.Equal("", Read("\"alice\" \"\"\r\n")["alice"]);

    [Fact]
    public void TheLastLineOfAUserCounts() => Assert.Equal("new", Read("\"a\" \"old\"\n\"a\" \"new\"")["a"]);

    [Fact]
    public void TheSecretMayStandOnTheNextLine() => Assert.Equal("x", Read("\"a\"\n\"x\"")["a"]);

    [Fact]
    public void AnEmptyFileHasNoUsers() => Assert.Empty(Read("\n ; nobody"));

    [Theory]
    [InlineData("# comment", 2)]
    [InlineData("bob secret", 2)]
    [InlineData("\"bob", 2)]
    [InlineData("\"bob\"", 2)]
    [InlineData("\"bob\" \"hidden", 2)]
    public void ABrokenLineEndsTheReading(string broken, int line)
    {
        Dictionary<string, string> secrets = Userlist.Parse("\"alice\" \"a\"\n" + broken, out string? problem);
        Assert.Equal(["alice"], secrets.Keys);
        Assert.NotNull(problem);
        Assert.StartsWith($"broken auth file at line {line}, ", problem, StringComparison.Ordinal);
        Assert.DoesNotContain("hidden", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void UsersBelowABrokenLineAreNotKnown()
    {
        Dictionary<string, string> secrets = Userlist.Parse("\"a\" \"1\"\n# no comment\n\"b\" \"2\"", out string? problem);
        Assert.Equal(["a"], secrets.Keys);
        Assert.NotNull(problem);
    }

    [Theory]
    [InlineData(127, 65530, true)]
    [InlineData(128, 1, false)]
    [InlineData(1, 65531, false)]
    public void LengthsAreBounded(int user, int secret, bool right)
    {
        Dictionary<string, string> secrets =
            Userlist.Parse($"\"{new string('u', user)}\" \"{new string('s', secret)}\"", out string? problem);
        Assert.Equal(right, problem is null);
        Assert.Equal(right ? 1 : 0, secrets.Count);
    }

    [Fact]
    public void WhatIsQuotedComesBack() => Gen.Select(Gen.String[0, 40], Gen.String).Sample(static (user, secret) =>
        Userlist.Parse($"{Quote(user)} {Quote(secret)}", out string? problem)[user] == secret && problem is null);

    [Fact]
    public void NoTextBreaksTheReader() => Gen.String[Gen.Char["\"\n; a"], 0, 40].Sample(static text =>
    {
        Userlist.Parse(text, out _);
    });

    private static string Quote(string text) => "\"" + text.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";

    private static Dictionary<string, string> Read(string text)
    {
        Dictionary<string, string> secrets = Userlist.Parse(text, out string? problem);
        Assert.Null(problem);
        return secrets;
    }
}
