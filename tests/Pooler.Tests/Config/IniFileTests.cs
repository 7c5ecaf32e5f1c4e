using CsCheck;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class IniFileTests : IDisposable
{
    private readonly TempFolder folder = new();
    private readonly List<ConfigEntry> entries = [];
    private readonly List<ConfigError> errors = [];

    public void Dispose() => folder.Dispose();

    [Fact]
    public void ReadsSectionsKeysAndValues()
    {
        Read("; comment\n  # comment\n\n[pgbouncer]\r\n  listen_port=6432  \r\n"
            + "server_reset_query = DISCARD ALL ; no comment\nadmin_users =\n");
        Assert.Empty(errors);
        Assert.Equal(
        [
            "5 pgbouncer listen_port|6432",
            "6 pgbouncer server_reset_query|DISCARD ALL ; no comment",
            "7 pgbouncer admin_users|",
        ], Shown());
    }

    [Fact]
    public void PoolerIsTheSameSectionAsPgBouncer()
    {
        Read("[pooler] ; ours\nlisten_port = 1");
        Assert.Equal(["2 pgbouncer listen_port|1"], Shown());
    }

    [Fact]
    public void QuotedNamesMayHoldAnything()
    {
        Read("[databases]\n'my db' = host=a\n\"o\"\"neil\"=\n* = host=b\na.b-c_9 = ");
        Assert.Empty(errors);
        Assert.Equal(["my db", "o\"neil", "*", "a.b-c_9"], entries.Select(static entry => entry.Key));
    }

    [Theory]
    [InlineData("[pgbouncer", "a section header ends with ]")]
    [InlineData("[database]", "unknown section [database]: one of [pgbouncer], [pooler], [databases], [users], [peers]")]
    [InlineData("listen_port = 1", "\"listen_port\" stands before the first section")]
    [InlineData("[users]\nmy user = x", "expected name = value")]
    [InlineData("[users]\n= x", "expected name = value")]
    [InlineData("[users]\n'' = x", "expected name = value")]
    [InlineData("[users]\n'bob = x", "expected name = value")]
    [InlineData("[users]\nbob", "expected name = value")]
    [InlineData("%includefoo", "expected name = value")]
    public void SyntaxErrorsNameTheLine(string text, string start)
    {
        Read(text);
        ConfigError error = Assert.Single(errors);
        Assert.Equal(text.Count('\n') + 1, error.Line);
        Assert.StartsWith(start, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void GoesOnAfterAnError()
    {
        Read("[nosuch]\nswallowed = 1\n[pgbouncer]\n???\nlisten_port = 1\n???\n");
        Assert.Equal([1, 4, 6], errors.Select(static error => error.Line));
        Assert.Equal(["5 pgbouncer listen_port|1"], Shown());
    }

    [Fact]
    public void AnIncludedFileSharesTheSection()
    {
        string inner = folder.Write("inner.ini", "listen_port = 7\n[users]\n");
        Read($"[pgbouncer]\n%include {inner}  \nbob = pool_size=1\n");
        Assert.Empty(errors);
        Assert.Equal(["1 pgbouncer listen_port|7", "3 users bob|pool_size=1"], Shown());
        Assert.Equal(inner, entries[0].File);
        Assert.Equal(folder.Path("pooler.ini"), entries[1].File);
    }

    /// <summary>From the working directory, not from the folder of the including file; what is wrong there is told with its file and line.</summary>
    [Fact]
    public void AnIncludedFileMayIncludeAnother()
    {
        Directory.CreateDirectory(folder.Path("conf.d"));
        string deepest = folder.Write("deepest.ini", "listen_port = 1\nlisten_port\n");
        string inner = folder.Write("conf.d/inner.ini", $"%include\t{Path.GetRelativePath(Environment.CurrentDirectory, deepest)}\n[users]\n%include deepest.ini\n");
        Read($"[pgbouncer]\n %include {inner}\n'it''s' = pool_size=1\n");
        Assert.Equal(["1 pgbouncer listen_port|1", "3 users it's|pool_size=1"], Shown());
        Assert.Equal(["deepest.ini:2", "conf.d/inner.ini:3"], errors.Select(error => $"{Path.GetRelativePath(folder.Path(""), Path.GetFullPath(error.File))}:{error.Line}"));
        Assert.Equal("%include could not read \"deepest.ini\": there is no such file", errors[1].Message);
    }

    [Fact]
    public void AMissingIncludeIsAnErrorOfItsLine()
    {
        Read("[pgbouncer]\n%include no/such.ini\n");
        ConfigError error = Assert.Single(errors);
        Assert.Equal((2, "%include could not read \"no/such.ini\": there is no such file"), (error.Line, error.Message));
    }

    [Fact]
    public void AFileWithoutAnEndIsNotReadToItsEnd() =>
        Assert.Contains("it is longer than 64 MB", Assert.Single(folder.LoadWrong("%include /dev/zero\n")), StringComparison.Ordinal);

    [Fact]
    public void AFileThatIncludesItselfEndsAtTheTenthLevel()
    {
        Read($"%include {folder.Path("pooler.ini")}\n[pgbouncer]\nlisten_port = 1\n");
        ConfigError error = Assert.Single(errors);
        Assert.Contains("nested more than 10 deep", error.Message, StringComparison.Ordinal);
        Assert.Equal(11, entries.Count);
    }

    /// <summary>Not read ten to the power of ten times.</summary>
    [Fact]
    public void AFileThatIncludesItselfOftenIsSaidOnce()
    {
        Read(string.Concat(Enumerable.Repeat($"%include {folder.Path("pooler.ini")}\n", 10)));
        Assert.Contains("nested more than 10 deep", Assert.Single(errors).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void BytesThatAreNotUtf8AreAnError()
    {
        File.WriteAllBytes(folder.Path("latin1.ini"), [0x5B, 0xE9, 0x5D]);
        new IniFile(entries, errors).Read(folder.Path("latin1.ini"));
        Assert.EndsWith("it is not valid UTF-8", Assert.Single(errors).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void NoTextBreaksTheReader() => Gen.String[Gen.Char["[]'\"=;#% \na"], 0, 60].Sample(Read, threads: 1);

    private void Read(string text) => new IniFile(entries, errors).Read(folder.Write("pooler.ini", text));

    private IEnumerable<string> Shown() =>
        entries.Select(static entry => $"{entry.Line} {entry.Section} {entry.Key}|{entry.Value}");
}
