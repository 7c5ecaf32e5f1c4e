using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Pooler.Telemetry;

/// <summary>
/// Log lines in PgBouncer's form on standard error and in logfile, written by a thread of their own: a reader that does not read, or a
/// full disk, never holds up an I/O thread. Beyond the bound lines are dropped and counted.
/// </summary>
internal sealed class LogOutput : ILoggerProvider, ILogger
{
    private const int Bound = 16_384;

    private readonly BlockingCollection<string> _lines = new(Bound);
    private readonly Thread _writer;
    private readonly int _processId = Environment.ProcessId;
    private long _dropped;
    private Stream? _file;

    public LogOutput()
    {
        _writer = new Thread(Write) { IsBackground = true, Name = "log" };
        _writer.Start();
    }

    /// <summary>
    /// Opens logfile, at the start and at each RELOAD, lest a file that was rotated away is written on (PgBouncer); empty: none. Null
    /// when that went well, else what is wrong, and the log goes where it went.
    /// </summary>
    public string? Open(string path)
    {
        try
        {
            Stream? file = path.Length == 0 ? null : new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            Interlocked.Exchange(ref _file, file)?.Dispose();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return $"logfile: {e.Message}";
        }
    }

    /// <summary>-q: nothing on standard error.</summary>
    public bool IsQuiet { get; init; }

    /// <summary>The setting verbose: above 0 debug lines are written, too.</summary>
    public int Verbosity { get; set; }

    // The host's own words say again what ours say better.
    public ILogger CreateLogger(string categoryName) =>
        categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance : this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= (Verbosity > 0 ? LogLevel.Debug : LogLevel.Information);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel) || (IsQuiet && Volatile.Read(ref _file) == null))
        {
            return;
        }

        string text = Clean(formatter(state, exception));
        if (exception != null)
        {
            text = $"{text}: {exception.Message}";
        }

        string line = string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyy-MM-dd HH:mm:ss.fff} UTC [{_processId}] {Word(logLevel)} {text}");
        if (_lines.IsAddingCompleted || !_lines.TryAdd(line))
        {
            Interlocked.Increment(ref _dropped);
        }
    }

    /// <summary>Writes what is there and ends.</summary>
    public void Dispose()
    {
        if (!_lines.IsAddingCompleted)
        {
            _lines.CompleteAdding();
            _writer.Join(TimeSpan.FromSeconds(2));
        }
    }

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

    private static string Word(LogLevel level) => level switch
    {
        LogLevel.Trace or LogLevel.Debug => "DEBUG",
        LogLevel.Information => "LOG",
        LogLevel.Warning => "WARNING",
        LogLevel.Critical => "FATAL",
        _ => "ERROR",
    };

    private void Write()
    {
        using Stream stderr = Console.OpenStandardError();
        foreach (string line in _lines.GetConsumingEnumerable())
        {
            long dropped = Interlocked.Exchange(ref _dropped, 0);
            byte[] bytes = Encoding.UTF8.GetBytes(dropped > 0 ? $"{line}\n({dropped} log lines dropped)\n" : line + "\n");
            Write(Volatile.Read(ref _file), bytes);
            Write(IsQuiet ? null : stderr, bytes);
        }

        Interlocked.Exchange(ref _file, null)?.Dispose();
    }

    private static void Write(Stream? stream, byte[] bytes)
    {
        try
        {
            stream?.Write(bytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // Nobody takes the log, or the file has just been replaced: the data path goes on without.
        }
    }
}
