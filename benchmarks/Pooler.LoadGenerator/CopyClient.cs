using System.Text;
using Pooler.Protocol;

namespace Pooler.LoadGenerator;

/// <summary>An endless COPY in one direction; the bytes that passed are counted.</summary>
internal sealed class CopyClient(EventLoop loop, LoadTarget target, byte[] statement, byte[]? data) : WireClient(loop, target)
{
    // What COPY IN sends at once.
    private const int ChunkBytes = 32 * 1024;

    private static readonly byte[] s_done = Requests.Frame(FrontendMessage.CopyDone);

    private bool _isEnding, _isCopyingIn;

    /// <summary>Bytes received, or bytes the kernel took.</summary>
    public long Bytes { get; private set; }

    /// <summary>The COPY has ended.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Rows without an end: PostgreSQL makes them one by one and keeps none.</summary>
    public static CopyClient Out(EventLoop loop, LoadTarget target, int rowBytes) =>
        new(loop, target, Requests.Query($"copy (select generate_series(1, 2000000000), repeat('x', {rowBytes})) to stdout"), null);

    /// <summary>Rows into a table with one text column, parsed and then dropped by the condition.</summary>
    public static CopyClient In(EventLoop loop, LoadTarget target, int rowBytes, string table)
    {
        string row = new string('x', Math.Max(rowBytes, 1)) + '\n';
        byte[] rows = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(row, Math.Max(ChunkBytes / row.Length, 1))));
        return new(loop, target, Requests.Query($"copy {table} from stdin where false"), Requests.Frame(FrontendMessage.CopyData, rows));
    }

    public void Begin() => Send(statement);

    /// <summary>Ends a COPY IN in order; a COPY OUT has no end but the connection's.</summary>
    public void End()
    {
        _isEnding = true;
        if (data == null)
        {
            IsDone = true;
            Close();
        }
    }

    protected override void OnLoggedIn()
    {
    }

    protected override void OnFrame(byte type)
    {
        if (type == BackendMessage.CopyInResponse)
        {
            _isCopyingIn = true;
            Send(data!);
        }
    }

    protected override void OnReceived(int bytes) => Bytes += data == null ? bytes : 0;

    protected override void OnReady(bool failed) => IsDone = true;

    protected override void OnClosed() => IsDone = true;

    /// <summary>One chunk of data follows the other until the end is asked for.</summary>
    protected override byte[]? OnSent()
    {
        if (!_isCopyingIn)
        {
            return null;
        }

        Bytes += data!.Length;
        _isCopyingIn = !_isEnding;
        return _isEnding ? s_done : data;
    }
}
