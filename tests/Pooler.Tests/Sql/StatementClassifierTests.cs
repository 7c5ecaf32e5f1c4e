using System.Text;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Sql;

/// <summary>Texts and their class.</summary>
public sealed class StatementClassifierTests
{
    private static readonly ClassifierContext Context = new(CorpusStatement.Catalogue());

    [Fact]
    public void TheCorpusIsClassedAsItSays()
    {
        List<CorpusStatement> corpus = CorpusStatement.Read();
        List<string> wrong = [];
        foreach (CorpusStatement statement in corpus)
        {
            StatementSummary told = StatementClassifier.Classify(statement.Bytes, Context);
            if (statement.Told(told) != statement.Expected)
            {
                wrong.Add($"{statement.Line}: {statement.Text}: {statement.Told(told)} ({told.Cause}), not {statement.Expected}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(corpus.Count >= 400, $"{corpus.Count} statements");
    }

    /// <summary>Behind a read, and before one, a statement keeps its class; only ends and unfinished ones take more with them.</summary>
    [Fact]
    public void OfSeveralTheStrongestCounts()
    {
        foreach (CorpusStatement statement in CorpusStatement.Read().Where(static s => !s.Text.Contains("unfinished") && !s.Text.Contains("-- ")))
        {
            StatementClass own = StatementClassifier.Classify(statement.Bytes, Context).Class;
            StatementClass behind = StatementClassifier.Classify(Bytes($"select 1;{statement.Text}"), Context).Class;
            StatementClass before = StatementClassifier.Classify(Bytes($"{statement.Text};select 1"), Context).Class;
            Assert.True((own, own) == (behind, before), $"{statement.Text}: {own}, {behind}, {before}");
        }
    }

    /// <summary>What a text does not say it must not matter for: the case of its letters, blanks, comments.</summary>
    [Fact]
    public void LooksDoNotMatter()
    {
        foreach (CorpusStatement statement in CorpusStatement.Read().Where(static s => !s.Text.Contains("unfinished")))
        {
            StatementSummary own = StatementClassifier.Classify(statement.Bytes, Context);
            byte[] other = Disguise(statement.Bytes);
            StatementSummary told = StatementClassifier.Classify(other, Context) with { Hint = own.Hint };
            Assert.True(own == told, $"{statement.Text}\n{Encoding.UTF8.GetString(other)}\n{own}\n{told}");
        }
    }

    [Theory]
    [InlineData("select 1", true)]
    [InlineData("", true)]
    [InlineData("select 1; select $1::int + 2", true)]
    [InlineData("values (1)", true)]
    [InlineData("select current_setting('work_mem'), now()", true)]
    [InlineData("select * from pg_class", false)]
    [InlineData("select (select count(*) from pg_class)", false)]
    [InlineData("table pg_class", false)]
    [InlineData("select pg_relation_size('pg_class')", false)]
    [InlineData("select \"Version\"()", false)]
    [InlineData("select 1; explain select 1", false)]
    [InlineData("show work_mem", false)]
    [InlineData("copy pg_class to stdout", false)]
    [InlineData("insert into t values (1)", false)]
    public void WhatReadsNoTableIsTheSameEverywhere(string text, bool isDataless) =>
        Assert.Equal(isDataless, StatementClassifier.Classify(Bytes(text), Context).IsDataless);

    [Theory]
    [InlineData("select 1", "select 2")]
    [InlineData("select 1", "SELECT /* x */ 'a' -- y\n ;")]
    [InlineData("select * from t where a = 1 and b = 'x'", "select * from T where A=$1 and B=$$y$$")]
    [InlineData("select 1; select 2", "select 1;select $1;")]
    [InlineData("select E'a\\'b'", "select x'00'")]
    public void ValuesAndLooksLeaveTheFingerprint(string one, string other) => Assert.Equal(Fingerprint(one), Fingerprint(other));

    [Theory]
    [InlineData("select a", "select b")]
    [InlineData("select a", "select \"a\"")]
    [InlineData("select \"a\"", "select \"A\"")]
    [InlineData("select 1", "select 1, 2")]
    [InlineData("select a + b", "select a - b")]
    [InlineData("select 1; select 1", "select 1 select 1")]
    [InlineData("select a b", "select ab")]
    [InlineData("select a::b", "select a:b")]
    public void OtherTokensChangeTheFingerprint(string one, string other) => Assert.NotEqual(Fingerprint(one), Fingerprint(other));

    [Fact]
    public void EveryTextOfTheCorpusHasAFingerprint()
    {
        List<ulong> seen = [.. CorpusStatement.Read().Select(static s => StatementClassifier.Classify(s.Bytes, Context).Fingerprint)];
        Assert.True(seen.Distinct().Count() > seen.Count * 0.8);
        Assert.All(CorpusStatement.Read().Where(static s => s.Text.Trim(' ', ';').StartsWith("select")), static s => Assert.NotEqual(0UL, Fingerprint(s.Text)));
    }

    /// <summary>Without a catalogue nothing is known to be a read that names or computes anything.</summary>
    [Fact]
    public void WithoutACatalogueQueriesAreWrites()
    {
        var context = new ClassifierContext(VolatileNames.Unknown);
        Assert.Equal(StatementClass.Write, StatementClassifier.Classify("select * from t"u8, context).Class);
        Assert.Equal(StatementCause.Catalogue, StatementClassifier.Classify("select 1"u8, context).Cause);
        Assert.Equal(StatementClass.Read, StatementClassifier.Classify("show work_mem"u8, context).Class);
        Assert.Equal(StatementClass.Transaction, StatementClassifier.Classify("begin"u8, context).Class);
    }

    [Fact]
    public void AllowAndDenyWinOverTheCatalogue()
    {
        (char, string)[] catalogue = [(CatalogueKind.VolatileFunction, "bump"), (CatalogueKind.Function, "lower"), (CatalogueKind.Unsafe, "tickets")];
        var context = new ClassifierContext(new VolatileNames(catalogue, ["bump", "tickets", "unheard_of"], ["lower", "accounts", "||"]));
        Assert.Equal(StatementClass.Read, StatementClassifier.Classify("select bump(), unheard_of() from tickets"u8, context).Class);
        Assert.Equal(StatementCause.Name, StatementClassifier.Classify("select lower('a')"u8, context).Cause);
        Assert.Equal(StatementCause.Name, StatementClassifier.Classify("select 1 from accounts"u8, context).Cause);
        Assert.Equal(StatementCause.Operator, StatementClassifier.Classify("select 'a' || 'b'"u8, context).Cause);
    }

    [Theory]
    [InlineData("=", "select 1 in (2)", StatementCause.Catalogue)]
    [InlineData("<", "select id from t order by id", StatementCause.Catalogue)]
    [InlineData("~~", "select a like 'b' from t", StatementCause.Name)]
    [InlineData("!~~*", "select a not ilike 'b' from t", StatementCause.Name)]
    [InlineData("~", "select a similar to 'b' from t", StatementCause.Name)]
    [InlineData(">=", "select a between 1 and 2 from t", StatementCause.Name)]
    [InlineData("<>", "select 1 != 2", StatementCause.Operator)]
    public void OperatorsBehindKeywordsCount(string symbol, string text, StatementCause cause)
    {
        var context = new ClassifierContext(new VolatileNames([(CatalogueKind.VolatileOperator, symbol)], [], []));
        Assert.Equal(cause, StatementClassifier.Classify(Bytes(text), context).Cause);
    }

    [Theory]
    [InlineData("select 'a\\'; delete from accounts; --'", true, StatementClass.Write)]
    [InlineData("select 'a\\'; delete from accounts; --'", false, StatementClass.Read)]
    [InlineData("select 'a\\\\'; delete from accounts", false, StatementClass.Write)]
    [InlineData("select n'a\\'; delete from accounts; --'", false, StatementClass.Read)]
    [InlineData("select b'1\\'; delete from accounts; --'", false, StatementClass.Write)]
    [InlineData("select U&'a'", false, StatementClass.Write)]
    [InlineData("select U&\"a\"", true, StatementClass.Write)]
    public void StringsAreReadAsTheSessionSays(string text, bool isConforming, StatementClass expected) =>
        Assert.Equal(expected, StatementClassifier.Classify(Bytes(text), Context with { HasConformingStrings = isConforming }).Class);

    [Theory]
    [InlineData("UTF8", "select 'é' from café", StatementClass.Read)]
    [InlineData("LATIN1", "select 'é' from accounts", StatementClass.Read)]
    [InlineData("LATIN1", "select 'é' from café", StatementClass.Write)]
    [InlineData("LATIN1", "select 'é' from \"café\"", StatementClass.Write)]
    [InlineData("SJIS", "select 'a' from accounts", StatementClass.Read)]
    [InlineData("SJIS", "select 'é' from accounts", StatementClass.Write)]
    [InlineData("GB18030", "select 'é'", StatementClass.Write)]
    public void LettersAreReadAsTheClientWritesThem(string encoding, string text, StatementClass expected)
    {
        ClassifierContext context = Context with { Encoding = ClassifierContext.EncodingOf(Bytes(encoding)) };
        Assert.Equal(expected, StatementClassifier.Classify(Bytes(text), context).Class);
    }

    /// <summary>PostgreSQL cuts names at 63 bytes: a longer one may be that of a view.</summary>
    [Fact]
    public void NamesTooLongToCompareAreWrites()
    {
        Assert.Equal(StatementClass.Read, StatementClassifier.Classify(Bytes("select * from " + new string('a', 63)), Context).Class);
        Assert.Equal(StatementCause.Name, StatementClassifier.Classify(Bytes("select * from " + new string('a', 64)), Context).Cause);
    }

    /// <summary>Beyond 64 brackets a call behind brackets is looked at as one.</summary>
    [Fact]
    public void DepthHasNoEnd()
    {
        string open = new('(', 1000), close = new(')', 1000);
        Assert.Equal(StatementClass.Read, StatementClassifier.Classify(Bytes($"select {open}1{close}"), Context).Class);
        Assert.Equal(StatementClass.Write, StatementClassifier.Classify(Bytes($"select {open}bump(){close}"), Context).Class);
        Assert.Equal(StatementClass.Write, StatementClassifier.Classify(Bytes($"select {open}select distinct on (a) unheard_of(1){close}"), Context).Class);
    }

    private static ulong Fingerprint(string text) => StatementClassifier.Classify(Bytes(text), Context).Fingerprint;

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>Key words and names in capitals, a comment and a line's end before each token where none matters.</summary>
    private static byte[] Disguise(byte[] text)
    {
        var disguised = new List<byte>();
        var lexer = new SqlLexer(text, hasConformingStrings: true);
        int end = 0;
        while (lexer.Next())
        {
            // Blanks part tokens, and the parts of a string: there they stay.
            ReadOnlySpan<byte> token = text.AsSpan(lexer.Start, lexer.End - lexer.Start);
            disguised.AddRange(lexer.Start > end || end == 0 ? " /* x; /* y */ */ -- z\n "u8 : ""u8);
            foreach (byte b in token)
            {
                disguised.Add(lexer.Kind == SqlTokenKind.Name && char.IsAsciiLetter((char)b) ? (byte)(b & ~0x20) : b);
            }

            end = lexer.End;
        }

        return [.. disguised];
    }
}
