using System.Globalization;
using Pooler.Errors;
using Pooler.Statements;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// LOG QUERIES CLIENT id, USER name or DATABASE name, FOR so many seconds, ours: what it runs is logged, without its values. LOG QUERIES OFF
/// ends all of that at once.
/// </summary>
internal sealed class LogQueries : ConsoleCommand
{
    private const int UsualSeconds = 60, MostSeconds = 3600;

    internal override bool IsInvalid(ConsoleStatement statement) =>
        !statement.Argument.Equals("queries", StringComparison.OrdinalIgnoreCase) || statement.Words.IsEmpty;

    internal override ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        AdminConsole console = session.Console;
        if (statement.Words is [var off] && Is(off, "off"))
        {
            console.Statements.LogNothing();
            console.Log.Note("query log is off");
            session.Complete("LOG QUERIES");
        }
        else if (Read(statement.Words.AsSpan(), session.Client.Owner.Now) is { } rule)
        {
            console.Statements.Log(rule);
            string text = $"query log of {rule} has begun, for {(rule.Until - session.Client.Owner.Now) / 1_000_000} s";
            console.Log.Note(text);
            session.Complete("LOG QUERIES");
        }
        else
        {
            session.Error(ConsoleErrors.WhichQueries.Fields(MostSeconds));
        }

        return default;
    }

    private static QueryLogRule? Read(ReadOnlySpan<string> words, long now)
    {
        int seconds = UsualSeconds;
        if (words is [_, _, var time, var number] && Is(time, "for"))
        {
            bool isNumber = int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out seconds) && seconds is > 0 and <= MostSeconds;
            words = isNumber ? words[..2] : [];
        }

        long until = now + (seconds * 1_000_000L);
        return words switch
        {
            [var kind, var id] when Is(kind, "client") && long.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out long client) => new(client, null, null, until),
            [var kind, var user] when Is(kind, "user") => new(null, user, null, until),
            [var kind, var database] when Is(kind, "database") => new(null, null, database, until),
            _ => null,
        };
    }

    private static bool Is(string word, string wanted) => word.Equals(wanted, StringComparison.OrdinalIgnoreCase);
}
