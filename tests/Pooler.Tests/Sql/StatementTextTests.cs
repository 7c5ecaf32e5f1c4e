using System.Text;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Sql;

/// <summary>Texts without their values, and the places in traces that they carry.</summary>
public sealed class StatementTextTests
{
    private const string Parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    [Theory]
    [InlineData("SELECT 1", "SELECT ?")]
    [InlineData("  select  a ,\n b from t where c='it''s' and d = $1;  ", "select a , b from t where c=? and d = $1;")]
    [InlineData("SELECT 'open to the end", "SELECT ?")]
    [InlineData("SELECT E'a\\'b', U&'x', B'01', X'ff', N'n', $tag$ secret $tag$, -1.5e3", "SELECT ?, ?, ?, ?, ?, ?, -?")]
    [InlineData("SELECT 'a'\n  'b', \"Name\"", "SELECT ?, \"Name\"")]
    [InlineData("SELECT /* said 'here' */ 1 -- and 'there'", "SELECT ?")]
    [InlineData("CREATE ROLE r PASSWORD 'secret'", "CREATE ROLE r PASSWORD ?")]
    [InlineData("", "")]
    public void NoValueIsShown(string text, string shown) => Assert.Equal(shown, Mask(text));

    [Fact]
    public void ALongTextIsCutAtATokenAndSaysSo()
    {
        Assert.Equal("SELECT aaaa…", Mask("SELECT aaaa, bbbb", 14));
        Assert.Equal("SELECT ?…", Mask("SELECT '" + new string('x', 2 * StatementText.MaxLength) + "'"));
    }

    /// <summary>In Shift JIS the second byte of a letter may be a backslash, which in E'…' would hide the quote behind it.</summary>
    [Fact]
    public void WhatCannotBeReadIsNotShown()
    {
        byte[] text = [.. "SELECT E'"u8, 0x95, 0x5C, .. "', 'secret', E'"u8, 0x95, 0x5C, .. "'"u8];
        Span<byte> shown = stackalloc byte[100];
        string masked = Encoding.UTF8.GetString(shown[..StatementText.Mask(text, true, TextEncoding.MixedBytes, shown)]);
        Assert.DoesNotContain("secret", masked, StringComparison.Ordinal);
        Assert.Equal(Fingerprint("SELECT 1"), StatementText.FingerprintOf("SELECT 2"u8, true, TextEncoding.MixedBytes));
    }

    [Theory]
    [InlineData("select 1", "SELECT  'x' /* c */;", true)]
    [InlineData("select a from t where b = 1", "select a from t where b = $1", true)]
    [InlineData("select 1", "select 1 /*traceparent='" + Parent + "'*/", true)]
    [InlineData("select a", "select b", false)]
    [InlineData("select \"a\"", "select a", false)]
    [InlineData("select 1, 2", "select 1", false)]
    public void ValuesAndCommentsDoNotChangeTheFingerprint(string one, string other, bool same)
    {
        Assert.Equal(same, Fingerprint(one) == Fingerprint(other));
        Assert.Equal(Fingerprint(one), StatementClassifier.Classify(Encoding.UTF8.GetBytes(one), new ClassifierContext(new VolatileNames([], [], []))).Fingerprint);
    }

    [Theory]
    [InlineData("SELECT 1 /*traceparent='" + Parent + "'*/", "SELECT 1  ")]
    [InlineData("/*action='a',traceparent='" + Parent + "',tracestate='x'*/ SELECT 1", "  SELECT 1")]
    [InlineData("SELECT /* pooler: replica */ /*traceparent='" + Parent + "'*/ 1", "SELECT /* pooler: replica */   1")]
    [InlineData("SELECT '/*traceparent=''x''*/'", null)]
    [InlineData("SELECT $$/*traceparent='x'*/$$", null)]
    [InlineData("SELECT 1 /* a /*traceparent='x'*/ b */", "SELECT 1 /* a   b */")]
    [InlineData("SELECT 1 /*traceparent='x' /* b */ c */", null)]
    [InlineData("SELECT 1 --traceparent='x'", null)]
    [InlineData("SELECT 1 /*controller='a'*/", null)]
    public void TheCommentOfATraceIsLeftOut(string text, string? rest)
    {
        byte[] body = [.. Encoding.UTF8.GetBytes(text), 0, 0, 1, 0, 0, 0, 23], output = new byte[body.Length + 1];
        bool has = TraceParent.TryLeaveOut(body, true, TextEncoding.Utf8, output, out int length);
        Assert.Equal(rest != null, has);
        if (rest != null)
        {
            Assert.Equal([.. Encoding.UTF8.GetBytes(rest), 0, 0, 1, 0, 0, 0, 23], output[..length]);
        }
    }

    [Fact]
    public void ATraceParentIsRead()
    {
        Assert.True(TraceParent.TryFind(Encoding.UTF8.GetBytes($"SELECT 1 /*db='x',traceparent='{Parent}'*/"), true, TextEncoding.Utf8, out TraceParent parent));
        Assert.Equal(new TraceParent(0x0af7651916cd43dd, 0x8448eb211c80319c, 0xb7ad6b7169203331, IsSampled: true), parent);
        Assert.True(TraceParent.TryFind(Encoding.UTF8.GetBytes($"SELECT 1 /*traceparent='{Parent[..^2]}00'*/"), true, TextEncoding.Utf8, out parent));
        Assert.False(parent.IsSampled);
    }

    [Theory]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0")]
    [InlineData("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")]
    [InlineData("00-00000000000000000000000000000000-b7ad6b7169203331-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more")]
    [InlineData("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    [InlineData("")]
    public void AWrongTraceParentIsNone(string value) =>
        Assert.False(TraceParent.TryFind(Encoding.UTF8.GetBytes($"SELECT 1 /*traceparent='{value}'*/"), true, TextEncoding.Utf8, out _));

    [Theory]
    [InlineData("SELECT 12", 12)]
    [InlineData("INSERT 0 3", 3)]
    [InlineData("COPY 10000000000", 10_000_000_000)]
    [InlineData("BEGIN", 0)]
    [InlineData("", 0)]
    public void RowsAreTheNumberAtTheEndOfATag(string tag, long rows) =>
        Assert.Equal(rows, CommandTag.RowsOf(Encoding.ASCII.GetBytes(tag)));

    private static string Mask(string text, int room = 1024)
    {
        Span<byte> shown = new byte[room];
        return Encoding.UTF8.GetString(shown[..StatementText.Mask(Encoding.UTF8.GetBytes(text), true, TextEncoding.Utf8, shown)]);
    }

    private static ulong Fingerprint(string text) => StatementText.FingerprintOf(Encoding.UTF8.GetBytes(text), true, TextEncoding.Utf8);
}
