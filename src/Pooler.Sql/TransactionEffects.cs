using System.Text;

namespace Pooler.Sql;

/// <summary>Reads off the front of a text what it does to transactions (PostgreSQL documentation, 55.2.2.1 and the commands' own pages).</summary>
public static class TransactionEffects
{
    public static TransactionEffect Of(ReadOnlySpan<byte> text)
    {
        int zero = text.IndexOf((byte)0);
        text = zero < 0 ? text : text[..zero];

        // Of several statements one may commit. A semicolon in a string or a comment counts too: that is the safe side.
        int end = text.IndexOf((byte)';');
        if (end >= 0 && text[(end + 1)..].TrimStart(" \t\r\n"u8).Length > 0)
        {
            return TransactionEffect.Unknown;
        }

        if (text.Length > 6 && text[6] <= ' ' && Ascii.EqualsIgnoreCase(text[..6], "select"u8))
        {
            return TransactionEffect.Inside; // As the walk below says, but most are.
        }

        var lexer = new SqlLexer(text, hasConformingStrings: true);
        if (!lexer.Next())
        {
            return TransactionEffect.Inside; // Nothing at all.
        }

        return WordOf(lexer) switch
        {
            SqlKeyword.Select or SqlKeyword.Insert or SqlKeyword.Update or SqlKeyword.Delete or SqlKeyword.Merge or SqlKeyword.Values
                or SqlKeyword.With or SqlKeyword.Table or SqlKeyword.Show or SqlKeyword.Set or SqlKeyword.Declare or SqlKeyword.Fetch
                or SqlKeyword.Move or SqlKeyword.Execute or SqlKeyword.Explain or SqlKeyword.Savepoint or SqlKeyword.Release => TransactionEffect.Inside,
            SqlKeyword.None => lexer.Sign is (byte)'(' or (byte)';' ? TransactionEffect.Inside : TransactionEffect.Unknown,
            SqlKeyword.Copy => TransactionEffect.Copies,
            SqlKeyword.Begin or SqlKeyword.Start => BeginsFor(ref lexer),
            SqlKeyword.Rollback or SqlKeyword.Abort => EffectOfRollback(ref lexer),
            SqlKeyword.Prepare => lexer.Next() && WordOf(lexer) != SqlKeyword.Transaction ? TransactionEffect.Inside : TransactionEffect.Unknown,
            SqlKeyword.Commit or SqlKeyword.End => TransactionEffect.Unknown,
            _ => TransactionEffect.CommitsAlone,
        };
    }

    /// <summary>A BEGIN that PostgreSQL would refuse begins nothing: only one that is sure to be read counts.</summary>
    private static TransactionEffect BeginsFor(ref SqlLexer lexer)
    {
        while (lexer.Next())
        {
            bool isKnown = lexer.Sign is (byte)',' or (byte)';' || WordOf(lexer) switch
            {
                SqlKeyword.Transaction or SqlKeyword.Read or SqlKeyword.Write or SqlKeyword.Only or SqlKeyword.Serializable => true,
                SqlKeyword.Other => IsMode(lexer.Text),
                _ => false,
            };
            if (!isKnown)
            {
                return TransactionEffect.Unknown;
            }
        }

        return TransactionEffect.Begins;
    }

    private static bool IsMode(ReadOnlySpan<byte> word) =>
        Ascii.EqualsIgnoreCase(word, "work"u8) || Ascii.EqualsIgnoreCase(word, "isolation"u8) || Ascii.EqualsIgnoreCase(word, "level"u8)
        || Ascii.EqualsIgnoreCase(word, "committed"u8) || Ascii.EqualsIgnoreCase(word, "repeatable"u8) || Ascii.EqualsIgnoreCase(word, "deferrable"u8)
        || Ascii.EqualsIgnoreCase(word, "not"u8) || Ascii.EqualsIgnoreCase(word, "uncommitted"u8);

    /// <summary>ROLLBACK TO stays in the block, AND CHAIN begins another, PREPARED is a commit's counterpart.</summary>
    private static TransactionEffect EffectOfRollback(ref SqlLexer lexer)
    {
        while (lexer.Next())
        {
            SqlKeyword word = WordOf(lexer);
            if (word == SqlKeyword.To)
            {
                return TransactionEffect.Inside;
            }

            if (lexer.Sign != ';' && word != SqlKeyword.Transaction && !Ascii.EqualsIgnoreCase(lexer.Text, "work"u8))
            {
                return TransactionEffect.Unknown;
            }
        }

        return TransactionEffect.RollsBack;
    }

    private static SqlKeyword WordOf(in SqlLexer lexer) =>
        lexer.Kind == SqlTokenKind.Name ? Keywords.Find(lexer.Text, lexer.Hash).Word : SqlKeyword.None;
}
