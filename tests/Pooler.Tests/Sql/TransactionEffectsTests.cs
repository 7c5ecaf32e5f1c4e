using System.Text;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Sql;

public sealed class TransactionEffectsTests
{
    [Theory]
    [InlineData("", TransactionEffect.Inside)]
    [InlineData(";", TransactionEffect.Inside)]
    [InlineData("-- nothing", TransactionEffect.Inside)]
    [InlineData("select 1", TransactionEffect.Inside)]
    [InlineData("(select 1) union select 2 ; ", TransactionEffect.Inside)]
    [InlineData("with a as (insert into t values (1) returning id) select * from a", TransactionEffect.Inside)]
    [InlineData("/* a /* b */ */ -- c\nUPDATE t SET a = 1", TransactionEffect.Inside)]
    [InlineData("savepoint s", TransactionEffect.Inside)]
    [InlineData("rollback to s", TransactionEffect.Inside)]
    [InlineData("ROLLBACK WORK TO SAVEPOINT s", TransactionEffect.Inside)]
    [InlineData("prepare p as select 1", TransactionEffect.Inside)]
    [InlineData("copy t from stdin", TransactionEffect.Copies)]
    [InlineData("begin", TransactionEffect.Begins)]
    [InlineData("BEGIN WORK;", TransactionEffect.Begins)]
    [InlineData("start transaction isolation level serializable, read only, not deferrable", TransactionEffect.Begins)]
    [InlineData("begin isolation levle serializable", TransactionEffect.Unknown)]
    [InlineData("begin; commit", TransactionEffect.Unknown)]
    [InlineData("commit", TransactionEffect.Unknown)]
    [InlineData("COMMIT AND CHAIN", TransactionEffect.Unknown)]
    [InlineData("/* a */ end", TransactionEffect.Unknown)]
    [InlineData("prepare transaction 'x'", TransactionEffect.Unknown)]
    [InlineData("select 1; commit", TransactionEffect.Unknown)]
    [InlineData("select ';'; ", TransactionEffect.Unknown)]
    [InlineData("rollback", TransactionEffect.RollsBack)]
    [InlineData("ABORT TRANSACTION", TransactionEffect.RollsBack)]
    [InlineData("rollback and chain", TransactionEffect.Unknown)]
    [InlineData("rollback prepared 'x'", TransactionEffect.Unknown)]
    [InlineData("call p()", TransactionEffect.CommitsAlone)]
    [InlineData("do $$ begin end $$", TransactionEffect.CommitsAlone)]
    [InlineData("create index concurrently on t (a)", TransactionEffect.CommitsAlone)]
    [InlineData("vacuum", TransactionEffect.CommitsAlone)]
    [InlineData("/* no end", TransactionEffect.Unknown)]
    [InlineData("what is this", TransactionEffect.Unknown)]
    public void Of(string text, TransactionEffect effect)
    {
        Assert.Equal(effect, TransactionEffects.Of(Encoding.UTF8.GetBytes(text)));

        // As of a Parse, behind whose text come the types of its parameters.
        Assert.Equal(effect, TransactionEffects.Of([.. Encoding.UTF8.GetBytes(text), 0, 0, 1, 0, 0, 0, (byte)';']));
    }
}
