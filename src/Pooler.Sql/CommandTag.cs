namespace Pooler.Sql;

/// <summary>Command tags (CommandComplete) that tell of session state left on the server (architecture rule 10).</summary>
public static class CommandTag
{
    /// <summary>Whether the command may have left state behind that the next client must not see.</summary>
    public static bool LeavesState(ReadOnlySpan<byte> tag)
    {
        if (tag.Length < 2)
        {
            return false;
        }

        // The most frequent tags (SELECT, INSERT, UPDATE, BEGIN, COMMIT …) are ruled out by their first two letters.
        return (tag[0], tag[1]) switch
        {
            ((byte)'S', (byte)'E') => tag.SequenceEqual("SET"u8) || tag.StartsWith("SET "u8) || tag.StartsWith("SECURITY"u8),
            ((byte)'R', (byte)'E') => tag.SequenceEqual("RESET"u8),
            ((byte)'L', (byte)'I') => tag.SequenceEqual("LISTEN"u8),
            ((byte)'L', (byte)'O') => tag.SequenceEqual("LOAD"u8),
            ((byte)'P', (byte)'R') => tag.SequenceEqual("PREPARE"u8),
            ((byte)'D', (byte)'E') => tag.StartsWith("DECLARE"u8),
            ((byte)'C', (byte)'A') => tag.SequenceEqual("CALL"u8),
            ((byte)'D', (byte)'O') => tag.SequenceEqual("DO"u8),
            _ => false,
        };
    }

    /// <summary>Whether the command may have ended state that an earlier one has left.</summary>
    public static bool EndsState(ReadOnlySpan<byte> tag) =>
        tag.StartsWith("UNLISTEN"u8) || tag.StartsWith("DISCARD"u8) || tag.StartsWith("CLOSE CURSOR"u8) || tag.StartsWith("DROP "u8) || tag.StartsWith("DEALLOCATE"u8);

    /// <summary>
    /// Whether the command may have changed what names mean to <see cref="VolatileNames"/>. Tables come and go in numbers and are
    /// left to the next look of its own accord, but for ALTER TABLE, which makes them unlogged, gives them policies or partitions.
    /// </summary>
    public static bool ChangesNames(ReadOnlySpan<byte> tag)
    {
        bool isAlter = tag.StartsWith("ALTER "u8);
        if (!isAlter && !tag.StartsWith("CREATE "u8) && !tag.StartsWith("DROP "u8))
        {
            return false;
        }

        ReadOnlySpan<byte> what = tag[(tag.IndexOf((byte)' ') + 1)..];
        return what.SequenceEqual("FUNCTION"u8) || what.SequenceEqual("ROUTINE"u8) || what.SequenceEqual("AGGREGATE"u8) || what.SequenceEqual("VIEW"u8)
            || what.SequenceEqual("MATERIALIZED VIEW"u8) || what.StartsWith("OPERATOR"u8) || what.SequenceEqual("TYPE"u8) || what.SequenceEqual("DOMAIN"u8)
            || what.SequenceEqual("CAST"u8) || what.SequenceEqual("POLICY"u8) || what.SequenceEqual("RULE"u8) || what.SequenceEqual("EXTENSION"u8)
            || (isAlter && what.SequenceEqual("TABLE"u8));
    }

    /// <summary>The rows it was about, the number at its end; 0 without one.</summary>
    public static long RowsOf(ReadOnlySpan<byte> tag)
    {
        long rows = 0, unit = 1;
        for (int i = tag.Length - 1; i >= 0 && tag[i] is >= (byte)'0' and <= (byte)'9' && unit <= 1_000_000_000_000_000_000; i--, unit *= 10)
        {
            rows += (tag[i] - '0') * unit;
        }

        return rows < 0 ? 0 : rows;
    }

    /// <summary>Whether the command has brought the session back to its login.</summary>
    public static bool DiscardsAll(ReadOnlySpan<byte> tag) => tag.SequenceEqual("DISCARD ALL"u8);

    /// <summary>Whether the command may have brought settings back to their defaults; of SET the text says it (TO DEFAULT).</summary>
    public static bool Resets(ReadOnlySpan<byte> tag) => tag.SequenceEqual("RESET"u8) || DiscardsAll(tag);

    /// <summary>Whether the command has dropped every prepared statement of its session, those of the protocol too.</summary>
    public static bool DropsStatements(ReadOnlySpan<byte> tag) =>
        tag.Length > 10 && tag[0] == 'D' && (tag.SequenceEqual("DISCARD ALL"u8) || tag.SequenceEqual("DEALLOCATE ALL"u8));
}
