using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Pooler.Telemetry;

/// <summary>
/// The system's log over its Unix socket, in the form of the C library's syslog(3) (RFC 3164, section 4.1). Nobody there: the lines are
/// lost and it is tried again with the next.
/// </summary>
internal sealed class SyslogSocket(string path, string ident, SyslogFacility facility) : IDisposable
{
    private const int LongestMessage = 8_000; // rsyslog's and journald's default bounds are above it.

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private Socket? _socket;
    private volatile bool _isClosed;

    public void Write(in LogLine line)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(Frame(line));
        int length = Math.Min(bytes.Length, LongestMessage);

        // A second try: the daemon may have been started anew since the last line.
        for (int i = 0; i < 2 && !_isClosed && !TrySend(bytes.AsSpan(0, length)); i++)
        {
        }
    }

    /// <summary>May come from another thread than the lines.</summary>
    public void Dispose()
    {
        _isClosed = true;
        Interlocked.Exchange(ref _socket, null)?.Dispose();
    }

    private bool TrySend(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _socket ??= Connect();
            _socket.Send(bytes);
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or ArgumentException)
        {
            Interlocked.Exchange(ref _socket, null)?.Dispose();
            return false;
        }
    }

    private Socket Connect()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendTimeout = (int)s_patience.TotalMilliseconds };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private string Frame(in LogLine line)
    {
        int priority = ((int)facility << 3) | Severity(line.Level);
        DateTime time = line.Time.ToLocalTime();
        return string.Create(CultureInfo.InvariantCulture, $"<{priority}>{time:MMM} {time.Day,2} {time:HH:mm:ss} {ident}[{Environment.ProcessId}]: {line.Message}");
    }

    /// <summary>As PgBouncer's levels (lib/usual/logging.c).</summary>
    private static int Severity(LogLevel level) => level switch
    {
        LogLevel.Critical => 2,
        LogLevel.Error => 3,
        LogLevel.Warning => 4,
        LogLevel.Information => 6,
        _ => 7,
    };
}
