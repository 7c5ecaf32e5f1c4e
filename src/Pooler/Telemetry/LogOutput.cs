using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Pooler.Telemetry;

/// <summary>
/// Log lines on standard error, in logfile and to syslog, written by a thread of their own: a reader that does not read, or a full
/// disk, never holds up an I/O thread. Beyond the bound lines are dropped and counted.
/// </summary>
internal sealed class LogOutput : ILogger, IDisposable
{
    private const int Bound = 16_384;

    private readonly BlockingCollection<LogLine> _lines = new(Bound);
    private readonly Thread _writer;
    private long _dropped;
    private Stream? _file;
    private SyslogSocket? _syslog;
    private RecentLines? _recent;

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

    /// <summary>Where lines go beside; null: nowhere. Opened anew at each RELOAD, as the file is.</summary>
    public void Open(SyslogSocket? syslog) => Interlocked.Exchange(ref _syslog, syslog)?.Dispose();

    /// <summary>Where the last lines are kept; null: nowhere.</summary>
    public RecentLines? Recent
    {
        get => Volatile.Read(ref _recent);
        set => Volatile.Write(ref _recent, value);
    }

    /// <summary>Of standard error and logfile; syslog takes the bare message.</summary>
    public LogFormat Format { get; set; }

    /// <summary>-q: nothing on standard error.</summary>
    public bool IsQuiet { get; init; }

    /// <summary>The setting verbose: above 0 debug lines are written, too.</summary>
    public int Verbosity { get; set; }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= (Verbosity > 0 ? LogLevel.Debug : LogLevel.Information);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel) || (IsQuiet && Volatile.Read(ref _file) == null && Volatile.Read(ref _syslog) == null && Recent == null))
        {
            return;
        }

        string message = formatter(state, exception);
        if (exception != null)
        {
            message = $"{message}: {exception.Message}";
        }

        LogLine line = Format == LogFormat.Json
            ? LogLine.Json(logLevel, message, state as IReadOnlyList<KeyValuePair<string, object?>> ?? [])
            : LogLine.Text(logLevel, message);
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

    private void Write()
    {
        using Stream stderr = Console.OpenStandardError();
        foreach (LogLine line in _lines.GetConsumingEnumerable())
        {
            Write(stderr, line);
            long dropped = Interlocked.Exchange(ref _dropped, 0);
            if (dropped > 0)
            {
                string message = $"{dropped} log lines dropped: they came faster than they could be written";
                Write(stderr, Format == LogFormat.Json ? LogLine.Json(LogLevel.Warning, message, []) : LogLine.Text(LogLevel.Warning, message));
            }
        }

        Interlocked.Exchange(ref _file, null)?.Dispose();
        Interlocked.Exchange(ref _syslog, null)?.Dispose();
    }

    private void Write(Stream stderr, in LogLine line)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(line.Whole + "\n");
        Write(Volatile.Read(ref _file), bytes);
        Write(IsQuiet ? null : stderr, bytes);
        Volatile.Read(ref _syslog)?.Write(line);
        Recent?.Add(line);
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
