using System.Net.Sockets;
using System.Text;
using Pooler.Net;
using Pooler.Tests.Net;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>
/// Sessions, pools and leases on engines that complete everything late, in pieces, in another order and with errors: each client
/// sees its own bytes, all of them, once; no statement runs twice; nobody waits for ever; in the end everything lent is back.
/// </summary>
[Collection(IoThreads.Name)]
public sealed class HostileEngineTests(ITestOutputHelper output)
{
    private const int Clients = 6, Requests = 40;

    /// <summary>Without errors that break a connection nothing at all may be lost.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void NobodyIsHurtByDelay(bool sendsAtOnce) => Run(sendsAtOnce, isFatal: false);

    /// <summary>Connections break on both sides; what lives on is whole.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhoeverBreaksHarmsNobodyElse(bool sendsAtOnce) => Run(sendsAtOnce, isFatal: true);

    private void Run(bool sendsAtOnce, bool isFatal)
    {
        for (int round = 0; round < 4; round++)
        {
            int seed = HostileEngines.NextSeed();
            output.WriteLine($"seed {seed}");
            try
            {
                Play(seed, sendsAtOnce, isFatal);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}", e);
            }
        }
    }

    private void Play(int seed, bool sendsAtOnce, bool isFatal)
    {
        var engines = new HostileEngines(seed, sendsAtOnce, isFatal);
        using var rig = new PoolerRig("default_pool_size = 2\nserver_login_retry = 0.05\nserver_cleanup_timeout = 2", threads: 2, engine: engines.Create);
        var postgres = new AnsweringPostgres(rig.Postgres);
        Player[] players = [.. Enumerable.Range(0, Clients).Select(i => new Player(rig, $"c{i}", new Random(seed + i), isFatal))];
        Thread[] threads = [.. players.Select(static p => new Thread(p.Run) { IsBackground = true })];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        // What Pooler's own timer does: a pool whose servers were lost looks for new ones.
        for (long start = Environment.TickCount64; threads.Any(static t => !t.Join(20));)
        {
            Assert.True(Environment.TickCount64 - start < 120_000, "a client hangs");
            rig.Threads[0].Post(() => rig.Pools.Maintain(rig.Threads[0].Now));
        }

        Assert.True(players.All(static p => p.Fault == null), string.Join(Environment.NewLine, players.Select(static p => p.Fault)));
        Assert.Empty(postgres.Violations);
        long moved = rig.Pool.Stats.Sum(static s => s.MovedGrants);
        output.WriteLine($"{players.Sum(static p => p.Answered)} answered, {players.Sum(static p => p.Lost)} lost, {moved} moved");
        Assert.True(players.Sum(static p => p.Answered) > Clients * Requests / (isFatal ? 4 : 2));

        // Everything lent is back: sessions, servers, blocks, buffers, what the kernel was sending, and every connection but the idle servers'.
        PoolerRig.WaitUntil(() => rig.Sessions.Clients == 0 && rig.Sessions.Logins == 0, "all sessions end");
        rig.WaitFor(static p => p.Waiting == 0 && p.Opening == 0 && p.IdleCount == p.Slots.Count, "all servers idle");
        for (int i = 0; i < rig.Threads.Length; i++)
        {
            IoThread thread = rig.Threads[i];
            string state = "";
            PoolerRig.WaitUntil(
                () => (state = rig.On(() => $"{thread.Blocks.Rented} blocks, {thread.Engine.Orphans} orphans, {thread.Engine.BuffersOut} buffers", thread.Index))
                    == "0 blocks, 0 orphans, 0 buffers",
                () => $"all is given back: {state}");
        }

        PoolerRig.WaitUntil(() => rig.Threads.Sum(t => rig.On(() => t.Counters.Connections, t.Index)) == rig.Pool.Slots.Count, "all connections are closed");

        // The kernel has one receive for each of them, a poll for each thread's wake, and the listener's accept.
        if (!sendsAtOnce)
        {
            (int Running, int Expected) seen = default;
            PoolerRig.WaitUntil(
                () =>
                {
                    seen = (rig.Threads.Sum(t => rig.On(() => engines.Running(t), t.Index)), rig.Pool.Slots.Count + rig.Threads.Length + 1);
                    return seen.Running == seen.Expected;
                },
                () => $"{seen.Expected} operations under way, not {seen.Running}");
        }

        rig.AssertNoDefect();
    }

    /// <summary>One client: asks, looks at every byte that comes back, leaves at any byte, comes again.</summary>
    private sealed class Player(PoolerRig rig, string name, Random random, bool mayLose)
    {
        private RawPeer? _peer;
        private int _asked;

        public string? Fault { get; private set; }

        public int Answered { get; private set; }

        public int Lost { get; private set; }

        public void Run()
        {
            try
            {
                for (int i = 0; i < Requests; i++)
                {
                    Step();
                }
            }
            catch (Exception e)
            {
                Fault = $"{name}: {e}";
            }

            _peer?.Dispose();
        }

        private void Step()
        {
            try
            {
                _peer ??= Connect();
                if (random.Next(12) == 0)
                {
                    Disappear(_peer);
                    _peer = null;
                }
                else if (random.Next(5) == 0)
                {
                    Ask(_peer, Statement("begin"), Wire.Join(Wire.Complete("BEGIN"), Wire.Ready('T')));
                    AskRows(_peer, 'T');
                    Ask(_peer, Statement("commit"), Wire.Join(Wire.Complete("COMMIT"), Wire.Ready('I')));
                    Answered++;
                }
                else
                {
                    AskRows(_peer, 'I');
                    Answered++;
                }
            }
            catch (Exception e) when (mayLose && e is EndOfStreamException or SocketException or LostException)
            {
                _peer?.Dispose();
                _peer = null;
                Lost++;
            }
        }

        /// <summary>A login may be in vain, its connection broken or the server's: then another.</summary>
        private RawPeer Connect()
        {
            for (long start = Environment.TickCount64; ;)
            {
                try
                {
                    return rig.Client();
                }
                catch (Exception e) when (mayLose && Environment.TickCount64 - start < RawPeer.Patience.TotalMilliseconds && IsLoss(e))
                {
                }
            }
        }

        private static bool IsLoss(Exception e) =>
            e is EndOfStreamException or SocketException || (e is Xunit.Sdk.FailException && e.Message.Contains("FATAL", StringComparison.Ordinal));

        private void AskRows(RawPeer peer, char status)
        {
            int count = random.Next(4) == 0 ? 3 : 1;
            var request = new List<byte[]>();
            var reply = new List<byte[]>();
            for (int i = 0; i < count; i++)
            {
                (byte[] asked, byte[] answer) = Rows(status);
                request.Add(asked);
                reply.Add(answer);
            }

            Ask(peer, Wire.Join(request), Wire.Join(reply));
        }

        private (byte[] Request, byte[] Reply) Rows(char status)
        {
            int size = random.Next(5) == 0 ? random.Next(90_000) : random.Next(300);
            string token = Token();
            byte[] rows = AnsweringPostgres.Rows(token, size);
            return random.Next(2) == 0
                ? (Wire.Query($"{token} {size}"), Wire.Join(rows, Wire.Ready(status)))
                : (Wire.Join(Wire.Parse($"{token} {size}"), Wire.Bind(), Wire.Execute(), Wire.Sync), Wire.Join(Wire.Frame('1'), Wire.Frame('2'), rows, Wire.Ready(status)));
        }

        private string Token() => $"{name}q{_asked++}";

        private byte[] Statement(string word) => Wire.Query($"{Token()} {word}");

        private void Ask(RawPeer peer, byte[] request, byte[] reply)
        {
            peer.Send(request);

            // Frame by frame, since what breaks a server may be told between two of them.
            for (int at = 0; at < reply.Length;)
            {
                byte[] frame = peer.ReceiveFrame();
                if (mayLose && frame[0] == 'E' && Encoding.Latin1.GetString(frame).Contains("FATAL", StringComparison.Ordinal))
                {
                    throw new LostException();
                }

                if (at + frame.Length > reply.Length || !reply.AsSpan(at, frame.Length).SequenceEqual(frame))
                {
                    throw new InvalidDataException($"expected {RawPeer.Show(reply.AsSpan(at))}{Environment.NewLine}received {RawPeer.Show(frame)}");
                }

                at += frame.Length;
            }
        }

        /// <summary>Sends a request, or a part of it, reads some of the reply or none, and goes.</summary>
        private void Disappear(RawPeer peer)
        {
            (byte[] request, byte[] reply) = Rows('I');
            bool isWhole = random.Next(2) == 0;
            peer.Send(request.AsSpan(0, isWhole ? request.Length : random.Next(1, request.Length)));
            if (isWhole && !mayLose && random.Next(2) == 0)
            {
                peer.Expect(reply.AsSpan(0, random.Next(1, reply.Length)));
            }

            peer.Dispose();
        }
    }

    private sealed class LostException : Exception;
}
