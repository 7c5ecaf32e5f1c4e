using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Pooler.Telemetry;

/// <summary>One line of the log.</summary>
/// <param name="Message">What syslog is told, which has time, process and level of its own.</param>
/// <param name="Whole">The line as it is written elsewhere, without its line feed.</param>
internal readonly record struct LogLine(LogLevel Level, DateTime Time, string Message, string Whole)
{
    private static readonly JsonWriterOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>As PgBouncer writes it: time, process, level.</summary>
    public static LogLine Text(LogLevel level, string message)
    {
        DateTime now = DateTime.UtcNow;
        message = Clean(message);
        return new LogLine(level, now, message, $"{Stamp(now)} [{Environment.ProcessId}] {Word(level)} {message}");
    }

    /// <summary>The keys are those of PostgreSQL's jsonlog, then the message's own values by name.</summary>
    public static LogLine Json(LogLevel level, string message, IReadOnlyList<KeyValuePair<string, object?>> values)
    {
        DateTime now = DateTime.UtcNow;
        var bytes = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(bytes, s_plain);
        json.WriteStartObject();
        json.WriteString("timestamp", Stamp(now));
        json.WriteNumber("pid", Environment.ProcessId);
        json.WriteString("error_severity", Word(level));
        json.WriteString("message", message);
        foreach ((string name, object? value) in values)
        {
            // Of a message that is all of it, or its template.
            if (name[0] != '{' && !message.Equals(value as string, StringComparison.Ordinal))
            {
                Write(json, name, value);
            }
        }

        json.WriteEndObject();
        json.Flush();
        return new LogLine(level, now, Clean(message), Encoding.UTF8.GetString(bytes.WrittenSpan));
    }

    private static void Write(Utf8JsonWriter json, string name, object? value)
    {
        string key = JsonNamingPolicy.SnakeCaseLower.ConvertName(name.TrimStart('@'));
        if (value is int or long)
        {
            json.WriteNumber(key, Convert.ToInt64(value, CultureInfo.InvariantCulture));
        }
        else if (value is double number)
        {
            json.WriteNumber(key, number);
        }
        else
        {
            json.WriteString(key, Convert.ToString(value, CultureInfo.InvariantCulture));
        }
    }

    private static string Stamp(DateTime time) => string.Create(CultureInfo.InvariantCulture, $"{time:yyyy-MM-dd HH:mm:ss.fff} UTC");

    /// <summary>Names and messages of strangers are in it: a line feed begins no line of its own, an escape moves no cursor.</summary>
    private static string Clean(string text)
    {
        text = text.ReplaceLineEndings("\n\t");
        return !text.AsSpan().ContainsAnyInRange('\0', '\b') && !text.AsSpan().ContainsAnyInRange('\v', '\u001f') && !text.Contains('\u007f')
            ? text
            : string.Create(text.Length, text, static (span, t) =>
            {
                for (int i = 0; i < t.Length; i++)
                {
                    span[i] = char.IsControl(t[i]) && t[i] is not ('\n' or '\t') ? '?' : t[i];
                }
            });
    }

    /// <summary>PgBouncer's words for levels.</summary>
    public static string Word(LogLevel level) => level switch
    {
        LogLevel.Trace or LogLevel.Debug => "DEBUG",
        LogLevel.Information => "LOG",
        LogLevel.Warning => "WARNING",
        LogLevel.Critical => "FATAL",
        _ => "ERROR",
    };
}
