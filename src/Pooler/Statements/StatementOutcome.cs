namespace Pooler.Statements;

/// <summary>What came of one statement.</summary>
/// <param name="Time">Microseconds from when it went to the server to the end of its answer.</param>
/// <param name="Wait">Microseconds before, in which there was no server for it.</param>
/// <param name="Rows">As its command tags say.</param>
/// <param name="Sent">Bytes of its answer.</param>
/// <param name="SqlState">Of its error (<see cref="SqlStateText"/>); 0: none.</param>
internal readonly record struct StatementOutcome(long Time, long Wait, long Rows, long Sent, ulong SqlState)
{
    /// <summary>The server or the client was gone before the answer.</summary>
    public const ulong Unanswered = ulong.MaxValue;

    /// <summary>The five letters in a number, so that they need no object.</summary>
    public static ulong StateOf(ReadOnlySpan<byte> letters)
    {
        ulong state = 0;
        foreach (byte letter in letters[..Math.Min(letters.Length, 5)])
        {
            state = (state << 8) | letter;
        }

        return state == 0 ? Unanswered : state;
    }

    /// <summary>Null without an error.</summary>
    public string? SqlStateText => SqlState switch
    {
        0 => null,
        Unanswered => "08006",
        _ => string.Create(5, SqlState, static (text, state) =>
        {
            for (int i = 4; i >= 0; i--, state >>= 8)
            {
                text[i] = (char)(byte)state;
            }
        }),
    };
}
