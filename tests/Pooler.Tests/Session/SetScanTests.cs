using System.Text;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>Settings that end with their transaction, and those that may stay.</summary>
public sealed class SetScanTests
{
    [Theory]
    [InlineData("set local work_mem to 1", false)]
    [InlineData("/* a */ SET -- b\n Local role x ;", false)]
    [InlineData("set local x to 1\0\0\u0001\0\0\u0017", false)]
    [InlineData("set work_mem to 1", true)]
    [InlineData("set\"local\".x to 1", true)]
    [InlineData("set local.x to 1", false)] // No such thing: LOCAL is a reserved word there, and PostgreSQL refuses it.
    [InlineData("set local x to 1; set y to 1", true)]
    [InlineData("select 1; set y to 1", true)]
    [InlineData("\fset work_mem to 1", true)]
    [InlineData("execute one", true)]
    [InlineData("select 'set'", false)]
    [InlineData("update settings set a = 1", false)]
    [InlineData("insert into t values (';')", true)]
    [InlineData("", false)]
    public void TellsASetThatStays(string text, bool may) => Assert.Equal(may, SetScan.MaySet(Encoding.UTF8.GetBytes(text)));

    [Theory]
    [InlineData("select set_config('a', 'b', true)", false)]
    [InlineData("select pg_catalog.SET_CONFIG ( 'a' , lower('B, c') , /* x */ True )", false)]
    [InlineData("select set_config('a', $1, true), set_config('b', $tag$', false)$tag$, true)", false)]
    [InlineData("select set_config('a', 'b', false)", true)]
    [InlineData("select set_config('a', 'b', not true)", true)]
    [InlineData("select set_config('a', 'b', $3)", true)]
    [InlineData("select set_config('a', 'b', is_local => true)", true)]
    [InlineData("select set_config('a', 'b', 'true')", true)]
    [InlineData("select set_config('a', 'b', true) and set_config('a', 'b', false) is null", true)]
    [InlineData("select set_config(set_config('a', 'b', false), 'b', true)", true)]
    [InlineData("select set_config('a', (array['x', 'y'])[1], true)", true)]
    [InlineData("select set_config('a', e'\\', true)', false)", true)]
    [InlineData("select set_config('a', 'b', true) as temp", true)]
    [InlineData("select set_config('a', 'b', true", true)]
    [InlineData("select \"set_config\"('a', 'b', true)", true)]
    public void TellsACallThatStays(string text, bool may) => Assert.Equal(may, StateScan.MayLeaveState(Encoding.UTF8.GetBytes(text)));
}
