using System.Collections.Immutable;
using Pooler.Config;

namespace Pooler.Errors;

/// <summary>The rows of one part of the table. A row joins where it is declared, so the list cannot forget one.</summary>
internal sealed class ErrorRows(string title, string severity)
{
    /// <summary>The whole table.</summary>
    public static ImmutableArray<ErrorRows> All => [LoginErrors.Rows, SessionErrors.Rows, ServerErrors.Rows, ConsoleErrors.Rows];

    public string Title => title;

    public List<ClientError> Rows { get; } = [];

    public ClientError Add(string message, string sqlState, string meaning, string advice, Setting? setting = null, string? shown = null, bool stranger = false, string? severity = null)
    {
        var row = new ClientError
        {
            Severity = severity ?? DefaultSeverity,
            SqlState = sqlState,
            Message = message,
            Meaning = meaning,
            Advice = advice,
            Setting = setting,
            Shown = shown,
            IsForStrangers = stranger,
        };
        Rows.Add(row);
        return row;
    }

    private string DefaultSeverity => severity;
}
