using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;

namespace Pooler.Tests.Session;

/// <summary>
/// Answers every server connection of a <see cref="FakePostgres"/> by itself: a statement "token size" gives rows of that token,
/// "token begin" and "token commit" a transaction. It notes what must never happen: a statement that comes twice, or into the
/// transaction of somebody else.
/// </summary>
internal sealed class AnsweringPostgres
{
    private const int RowSize = 4000;

    private readonly FakePostgres _postgres;
    private readonly ConcurrentDictionary<string, int> _seen = new();

    public AnsweringPostgres(FakePostgres postgres)
    {
        _postgres = postgres;
        new Thread(Serve) { IsBackground = true, Name = "answering-postgres" }.Start();
    }

    public ConcurrentQueue<string> Violations { get; } = new();

    /// <summary>The rows of a statement, and what goes with them.</summary>
    public static byte[] Rows(string token, int size)
    {
        var frames = new List<byte[]>();
        for (int rest = size; rest >= 0; rest -= RowSize)
        {
            frames.Add(Wire.Row(token + new string(token[0], Math.Min(rest, RowSize))));
        }

        frames.Add(Wire.Complete("SELECT 1"));
        return Wire.Join(frames);
    }

    private void Serve()
    {
        for (int taken = 0; ; taken++)
        {
            RawPeer server;
            try
            {
                server = _postgres.Await();
            }
            catch (Exception e) when (e is ObjectDisposedException or InvalidOperationException)
            {
                return;
            }

            new Thread(() => Answer(server)) { IsBackground = true, Name = $"answering-{taken}" }.Start();
        }
    }

    private void Answer(RawPeer server)
    {
        try
        {
            var session = new Backend(this);
            while (true)
            {
                server.Send(session.Answer(server.ReceiveFrame(Timeout.InfiniteTimeSpan)));
            }
        }
        catch (Exception e) when (e is EndOfStreamException or SocketException or ObjectDisposedException)
        {
            server.Dispose();
        }
    }

    private sealed class Backend(AnsweringPostgres postgres)
    {
        private string _prepared = "", _holder = "";

        private char Status => _holder.Length > 0 ? 'T' : 'I';

        public byte[] Answer(byte[] frame) => (char)frame[0] switch
        {
            'Q' => Wire.Join(Run(Wire.ReadText(frame.AsSpan(5))), Wire.Ready(Status)),
            'P' => Prepare(Wire.ReadText(frame.AsSpan(6))),
            'B' => Wire.Frame('2'),
            'E' => Run(_prepared),
            'S' => Wire.Ready(Status),
            'X' => throw new EndOfStreamException(),
            _ => [],
        };

        private byte[] Prepare(string text)
        {
            _prepared = text;
            return Wire.Frame('1');
        }

        private byte[] Run(string text)
        {
            if (text is "ROLLBACK" or "DISCARD ALL")
            {
                _holder = "";
                return Wire.Complete(text);
            }

            if (!postgres._seen.TryAdd(text, 0))
            {
                postgres.Violations.Enqueue($"{text} came twice");
            }

            string[] words = text.Split(' ');
            string client = words[0].Split('q')[0];
            if (_holder.Length > 0 && _holder != client)
            {
                postgres.Violations.Enqueue($"{text} came into the transaction of {_holder}");
            }

            switch (words[1])
            {
                case "begin":
                    _holder = client;
                    return Wire.Complete("BEGIN");
                case "commit":
                    _holder = "";
                    return Wire.Complete("COMMIT");
                default:
                    return Rows(words[0], int.Parse(words[1], System.Globalization.CultureInfo.InvariantCulture));
            }
        }
    }
}
