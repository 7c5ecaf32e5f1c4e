using System.Globalization;
using System.Text.RegularExpressions;
using Pooler.Config;
using Pooler.Protocol;

namespace Pooler.Errors;

/// <summary>One row of the table of errors: what Pooler itself tells a client, and what docs/errors.md says of it.</summary>
internal sealed partial class ClientError
{
    public required string Severity { get; init; }

    public required string SqlState { get; init; }

    /// <summary>PgBouncer's words where it has some, which tools look for; {0} … stand for what the moment tells.</summary>
    public required string Message { get; init; }

    public required string Meaning { get; init; }

    /// <summary>The next step.</summary>
    public required string Advice { get; init; }

    /// <summary>What decides it.</summary>
    public Setting? Setting { get; init; }

    /// <summary>Who is told has not proved yet who he is: the next step is on the page, and what the log knows stays there.</summary>
    public bool IsForStrangers { get; init; }

    /// <summary>Message for the page, where the words alone say nothing.</summary>
    public string? Shown { get; init; }

    /// <summary>The message as the page has it.</summary>
    public string PageText => Shown ?? Placeholder().Replace(Message, "…");

    /// <summary>The error without a word about the moment.</summary>
    public ErrorFields Fields(params ReadOnlySpan<object?> values) =>
        new(Severity, SqlState, values.IsEmpty ? Message : string.Format(CultureInfo.InvariantCulture, Message, values), null, IsForStrangers ? null : Advice);

    /// <summary>The error of this moment.</summary>
    public ErrorFields Because(string detail, params ReadOnlySpan<object?> values) => Fields(values) with { Detail = detail };

    /// <summary>The same; its hint begins with the setting, its value, and where that stands.</summary>
    public ErrorFields Because(string detail, PoolerConfig config, string database, string user, params ReadOnlySpan<object?> values) =>
        Because(detail, SettingPlace.Of(config, Setting!, database, user), values);

    /// <param name="place">Of <see cref="SettingPlace"/>.</param>
    public ErrorFields Because(string detail, SettingPlace place, params ReadOnlySpan<object?> values) =>
        Fields(values) with { Detail = detail, Hint = $"{place}. {Advice}" };

    [GeneratedRegex(@"\{\d\}")]
    private static partial Regex Placeholder();
}
