using System.Text;

namespace Pooler.Sql;

/// <summary>A statement that PostgreSQL does not get: SET, RESET and SHOW of <c>pooler.…</c>, and EXPLAIN (POOLER).</summary>
public readonly ref struct PoolerStatement
{
    private PoolerStatement(PoolerCommand command, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        Command = command;
        Name = name;
        Value = value;
    }

    public PoolerCommand Command { get; }

    /// <summary>Of the setting, behind the dot.</summary>
    public ReadOnlySpan<byte> Name { get; }

    /// <summary>What it is set to; of EXPLAIN the statement.</summary>
    public ReadOnlySpan<byte> Value { get; }

    /// <summary>Whether a text is worth <see cref="Read"/>: a cheap question, asked of every text.</summary>
    public static bool IsLikely(ReadOnlySpan<byte> text)
    {
        int at = 0;
        while (at < text.Length && text[at] <= ' ' && text[at] != 0)
        {
            at++;
        }

        text = text[at..];
        return text.Length > 8 && (text[0] | 0x20) switch
        {
            's' => Starts(text, "set"u8) || Starts(text, "show"u8),
            'r' => Starts(text, "reset"u8),
            'e' => Starts(text, "explain"u8),
            '-' or '/' => true, // A comment comes first; both have that bit.
            _ => false,
        };
    }

    /// <summary>Reads a text of one statement; <see cref="PoolerCommand.None"/> if it is none of ours.</summary>
    public static PoolerStatement Read(ReadOnlySpan<byte> text, bool hasConformingStrings)
    {
        if (!IsLikely(text))
        {
            return default;
        }

        var lexer = new SqlLexer(text, hasConformingStrings);
        if (!lexer.Next())
        {
            return default;
        }

        if (Is(lexer, "explain"u8))
        {
            return Explain(text, lexer);
        }

        PoolerCommand command = Is(lexer, "set"u8) ? PoolerCommand.Set : Is(lexer, "show"u8) ? PoolerCommand.Show
            : Is(lexer, "reset"u8) ? PoolerCommand.Reset : PoolerCommand.None;
        bool isOurs = command != PoolerCommand.None && lexer.Next()
            && (command != PoolerCommand.Set || !Is(lexer, "session"u8) || lexer.Next()) && Is(lexer, "pooler"u8)
            && lexer.Next() && lexer.Sign == '.' && lexer.Next() && lexer.Kind == SqlTokenKind.Name;
        if (!isOurs)
        {
            return default;
        }

        ReadOnlySpan<byte> name = lexer.Text, value = default;
        if (command == PoolerCommand.Set)
        {
            bool hasValue = lexer.Next() && (Is(lexer, "to"u8) || (lexer.Kind == SqlTokenKind.Operator && lexer.Text.SequenceEqual("="u8)))
                && lexer.Next() && lexer.Kind is SqlTokenKind.Name or SqlTokenKind.Literal or SqlTokenKind.Number;
            if (!hasValue)
            {
                return default;
            }

            command = Is(lexer, "default"u8) ? PoolerCommand.Reset : command;
            value = lexer.Text;
        }

        bool isAtEnd = !lexer.Next() || (lexer.Sign == ';' && !lexer.Next());
        return isAtEnd ? new PoolerStatement(command, name, value) : default;
    }

    private static PoolerStatement Explain(ReadOnlySpan<byte> text, SqlLexer lexer)
    {
        bool isOurs = lexer.Next() && lexer.Sign == '(' && lexer.Next() && Is(lexer, "pooler"u8) && lexer.Next() && lexer.Sign == ')';
        if (!isOurs)
        {
            return default;
        }

        int end = text.IndexOf((byte)0);
        return new PoolerStatement(PoolerCommand.Explain, default, text[lexer.End..(end < 0 ? text.Length : end)]);
    }

    private static bool Is(in SqlLexer lexer, ReadOnlySpan<byte> lower) => lexer.Kind == SqlTokenKind.Name && Ascii.EqualsIgnoreCase(lexer.Text, lower);

    private static bool Starts(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word) => Ascii.EqualsIgnoreCase(text[..word.Length], word);
}
