using System.Text;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>SQL that names prepared statements.</summary>
public sealed class StatementScanTests
{
    [Theory]
    [InlineData("select 1", false)]
    [InlineData("EXECUTE one", true)]
    [InlineData("begin;Execute/**/one", true)]
    [InlineData("prepare one as select 1", true)]
    [InlineData("select prepared, executes, dealloc from discarded", false)]
    [InlineData("discard all", true)]
    [InlineData("deallocate\none", true)]
    [InlineData("select 'e', 'execute'", true)]
    public void FindsTheCommands(string text, bool names) => Assert.Equal(names, StatementScan.NamesStatements(Encoding.UTF8.GetBytes(text)));

    [Theory]
    [InlineData("deallocate one", "one")]
    [InlineData("  DEALLOCATE  PREPARE One ; ", "one")]
    [InlineData("deallocate prepare", "prepare")]
    [InlineData("deallocate \"One \"\"x\"\"\"", "One \"x\"")]
    [InlineData("deallocate \"a\", \"b\"", null)]
    [InlineData("deallocate all", null)]
    [InlineData("deallocate \"all\"", "all")]
    [InlineData("deallocate one; select 1", null)]
    [InlineData("deallocate one -- two", null)]
    [InlineData("deallocate", null)]
    [InlineData("select 1", null)]
    public void ReadsOneName(string text, string? name)
    {
        byte[]? found = StatementScan.NameOfDeallocate(Encoding.UTF8.GetBytes(text));
        Assert.Equal(name, found == null ? null : Encoding.UTF8.GetString(found));
    }
}
