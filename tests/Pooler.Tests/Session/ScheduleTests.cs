using System.Text;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>
/// The model's outer actions on the real code: every order of what two clients and the one server can do, up to a length. No
/// statement runs twice, none of a client runs in another's transaction, each client gets its own replies and nothing else, and
/// in the end nobody waits.
/// </summary>
[Collection(IoThreads.Name)]
public sealed class ScheduleTests(ITestOutputHelper output)
{
    /// <summary>q and p: a query of A, simple or extended; b: begin; x: A leaves; Q, X: B's; a: the server answers, e: with an error, k: it dies.</summary>
    [Theory]
    [InlineData("qbxQXae", 5)]
    [InlineData("pxQaek", 6)]
    public void EveryOrderOfEvents(string actions, int length)
    {
        using var rig = new PoolerRig();
        Assert.InRange(Explore(rig, actions, length), 100, 100_000);
    }

    /// <summary>The same while every event, read and write is late, cut or in vain: what was one order becomes many.</summary>
    [Theory]
    [InlineData("qbxQXae", 3, true)]
    [InlineData("qbxQXae", 3, false)]
    [InlineData("pxQaek", 4, true)]
    [InlineData("pxQaek", 4, false)]
    public void EveryOrderOfEventsOnAHostileEngine(string actions, int length, bool sendsAtOnce)
    {
        int seed = HostileEngines.NextSeed();
        output.WriteLine($"seed {seed}");
        using var rig = new PoolerRig(engine: new HostileEngines(seed, sendsAtOnce, isFatal: false).Create);
        Explore(rig, actions, length);
    }

    private int Explore(PoolerRig rig, string actions, int length)
    {
        rig.Client().Dispose();
        var run = new Run(rig);
        int count = 0;
        var prefixes = new Stack<string>([""]);
        while (prefixes.TryPop(out string? prefix))
        {
            foreach (char action in actions)
            {
                string schedule = prefix + action;
                bool isNew;
                try
                {
                    isNew = run.Play(schedule);
                }
                catch (Exception e)
                {
                    throw new InvalidOperationException($"schedule {schedule}: {e.Message}", e);
                }

                // An action that changed nothing makes no new order.
                count += isNew ? 1 : 0;
                if (isNew && schedule.Length < length)
                {
                    prefixes.Push(schedule);
                }
            }
        }

        output.WriteLine($"{count} schedules");
        return count;
    }

    private sealed class Run(PoolerRig rig)
    {
        private readonly HashSet<string> _seen = [];
        private readonly Side[] _clients = new Side[2];
        private RawPeer? _server;
        private int _taken, _statements;
        private char _status = 'I', _holder = '-';

        /// <summary>False when the last action could not be done.</summary>
        public bool Play(string schedule)
        {
            _clients[0] = new Side('A', rig.Client());
            _clients[1] = new Side('B', rig.Client());
            bool done = true;
            foreach (char action in schedule)
            {
                done = Do(action);
                rig.Turn();
            }

            ComeToAnEnd();
            return done;
        }

        private bool Do(char action) => action switch
        {
            'q' or 'p' or 'b' => Ask(_clients[0], action),
            'Q' => Ask(_clients[1], 'q'),
            'x' => Leave(_clients[0]),
            'X' => Leave(_clients[1]),
            'a' or 'e' => Answer(isError: action == 'e'),
            _ => Die(),
        };

        private bool Ask(Side client, char kind)
        {
            if (client.HasLeft || client.Outstanding > 1)
            {
                return false;
            }

            string text = $"{client.Name}{_statements++}{(kind == 'b' ? " begin" : "")}";
            client.Outstanding++;
            client.Peer.Send(kind == 'p' ? Wire.Join(Wire.Parse(text), Wire.Bind(), Wire.Execute(), Wire.Sync) : Wire.Query(text));
            return true;
        }

        private static bool Leave(Side client)
        {
            client.Peer.Dispose();
            return !client.HasLeft && (client.HasLeft = true);
        }

        private bool Die()
        {
            RawPeer? server = Server();
            if (server == null)
            {
                return false;
            }

            server.Dispose();
            (_server, _status, _holder) = (null, 'I', '-');
            return true;
        }

        /// <summary>The server answers the oldest request it has, if it has one.</summary>
        private bool Answer(bool isError)
        {
            RawPeer? server = Server();
            if (server == null || !server.IsReadable)
            {
                return false;
            }

            byte[] frame;
            try
            {
                frame = server.ReceiveFrame();
            }
            catch (EndOfStreamException)
            {
                (_server, _status, _holder) = (null, 'I', '-');
                return true;
            }

            string text = Wire.ReadText(frame.AsSpan(frame[0] == 'P' ? 6 : 5));
            bool isExtended = frame[0] == 'P';
            while (isExtended && server.ReceiveFrame()[0] != 'S')
            {
            }

            if (text is "ROLLBACK" or "DISCARD ALL")
            {
                (_status, _holder) = ('I', '-');
                server.Send(Wire.Join(Wire.Complete(text), Wire.Ready('I')));
                return true;
            }

            Assert.True(_seen.Add(text), $"{text} came twice");
            Assert.True(_holder == '-' || _holder == text[0], $"{text} came into the transaction of {_holder}");
            Reply(server, text, isExtended, isError || _status == 'E');
            return true;
        }

        private void Reply(RawPeer server, string text, bool isExtended, bool isError)
        {
            _status = isError ? _status == 'I' ? 'I' : 'E' : text.EndsWith("begin", StringComparison.Ordinal) ? 'T' : _status;
            _holder = _status == 'I' ? '-' : text[0];
            byte[] reply = isError ? Wire.Join(Wire.Error(text), Wire.Ready(_status))
                : isExtended ? Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Row(text), Wire.Complete("SELECT 1"), Wire.Ready(_status))
                : Wire.Answer(text, _status);
            server.Send(reply);
            Side client = _clients[text[0] - 'A'];
            if (!client.HasLeft)
            {
                client.Peer.Expect(reply);
                client.Outstanding--;
            }
        }

        private RawPeer? Server()
        {
            if (_server == null && rig.Postgres.Logins > _taken)
            {
                _server = rig.Postgres.Next();
                _taken++;
            }

            return _server;
        }

        /// <summary>The server answers on; whoever holds it without need leaves; nobody may be left waiting.</summary>
        private void ComeToAnEnd()
        {
            PoolerRig.WaitUntil(() =>
            {
                rig.Turn(1);
                while (Answer(isError: false))
                {
                    rig.Turn();
                }

                foreach (Side client in _clients)
                {
                    // Nothing is readable but the word of a server's death: replies were read as they were sent.
                    if (!client.HasLeft && client.Peer.IsReadable)
                    {
                        string word = Encoding.Latin1.GetString(client.Peer.ReceiveToEnd());
                        Assert.Contains("FATAL", word, StringComparison.Ordinal);
                        Assert.DoesNotContain(client.Name == 'A' ? "B" : "A", word.Replace("FATAL", "", StringComparison.Ordinal).Split('\0')[0], StringComparison.Ordinal);
                        Leave(client);
                    }

                    if (!client.HasLeft && client.Outstanding == 0)
                    {
                        Leave(client);
                    }
                }

                bool isIdle = false;
                rig.Pools.Read(_ => isIdle = rig.Pool.Waiting == 0 && rig.Pool.Opening == 0 && rig.Pool.IdleCount == rig.Pool.Slots.Count);
                return isIdle && _clients.All(static c => c.HasLeft) && rig.Sessions.Clients == 0;
            }, $"everybody served (A {_clients[0].Outstanding}, B {_clients[1].Outstanding})");
        }
    }

    private sealed class Side(char name, RawPeer peer)
    {
        public char Name => name;

        public RawPeer Peer => peer;

        public int Outstanding { get; set; }

        public bool HasLeft { get; set; }
    }
}
