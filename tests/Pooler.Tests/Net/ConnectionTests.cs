using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Pooler.Net;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Net;

/// <summary>A connection of a real I/O thread against a plain socket: short sends, back-pressure, wake, end, budget, ownership.</summary>
[Collection(IoThreads.Name)]
public sealed class ConnectionTests : IDisposable
{
    private readonly ConcurrentQueue<string> _defects = new();
    private readonly IoThread _thread = new(0, EngineUnderTest.Create);
    private readonly Connection _connection;
    private readonly RawPeer _peer;
    private readonly long _foreignResumes = IoThread.ForeignResumes;

    public ConnectionTests()
    {
        IoThread.DefectLog = _defects.Enqueue;
        _thread.Start();
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var options = new Pooler.Net.SocketOptions(true, 0, 0, 0, 0, 0);
        SocketAddress address = listener.LocalEndPoint!.Serialize();
        _connection = On(() => Connection.Connect(_thread, address, options, out _))!;
        _peer = new RawPeer(RawPeer.Prepare(listener.Accept()));
        PoolerRig.WaitUntil(() => On(() => !_connection.IsConnecting), "the connect");
        On(() => _connection.Input.TryRead(out _)); // The connect woke its reader.
    }

    public void Dispose()
    {
        _peer.Dispose();
        On(() =>
        {
            _connection.Close();
            _connection.Input.Complete();
            return true;
        });
        Assert.Equal(0, On(() => _thread.Blocks.Rented));
        Assert.True(_thread.Stop(RawPeer.Patience));
    }

    [Fact]
    public void WhatTheKernelDoesNotTakeWaitsAndFollowsInOrder()
    {
        byte[] data = new byte[20_000_000];
        new Random(1).NextBytes(data);
        On(() =>
        {
            for (int at = 0; at < data.Length; at += 50_000)
            {
                _connection.Outbox.Append(data.AsSpan(at, 20_000));
                _connection.Outbox.Send(data.AsSpan(at + 20_000, 30_000));
            }

            Assert.True(_connection.Outbox.IsCongested);
            Assert.InRange(_connection.Outbox.Pending, 1_000_000, data.Length);
            return true;
        });
        _peer.Expect(data);
        PoolerRig.WaitUntil(() => On(() => _connection.Outbox.Pending == 0 && !_connection.Outbox.IsCongested), "the outbox is empty");
        AssertNoDefect();
    }

    [Fact]
    public void WhoWaitsForAnEmptyOutboxIsWokenWhenItIs()
    {
        byte[] data = new byte[20_000_000];
        int pendingAtWake = -1;
        On(() =>
        {
            _connection.Outbox.Send(data);
            _connection.Outbox.WakeWhenDrained(_connection.Input);
            _ = WaitAsync();
            return true;
        });
        Assert.Equal(-1, On(() => pendingAtWake));
        _peer.Expect(data);
        PoolerRig.WaitUntil(() => On(() => pendingAtWake) == 0, "the wake");
        AssertNoDefect();

        async Task WaitAsync()
        {
            await _connection.Input.ParkAsync();
            pendingAtWake = _connection.Outbox.Pending;
        }
    }

    [Fact]
    public void EverythingIsReadBeforeTheEnd()
    {
        byte[] data = new byte[3_000_000];
        new Random(2).NextBytes(data);
        var received = new MemoryStream();
        bool ended = false;
        On(() => _ = ReadAsync());
        _peer.Send(data);
        _peer.EndSending();
        PoolerRig.WaitUntil(() => On(() => ended), "the end");
        Assert.Equal(data, received.ToArray());
        AssertNoDefect();

        async Task ReadAsync()
        {
            var random = new Random(3);
            while (!_connection.Input.IsEnded || _connection.Input.UnreadLength > 0)
            {
                if (!_connection.Input.IsEnded)
                {
                    await _connection.Input.ReadAsync();
                }

                int part = _connection.Input.IsEnded || _connection.Input.IsFull ? _connection.Input.UnreadLength : random.Next(_connection.Input.UnreadLength + 1);
                received.Write(_connection.Input.Unread[..part]);
                _connection.Input.Advance(part);
            }

            ended = true;
        }
    }

    [Fact]
    public void UnreadDataIsStillThereWhenThePeerHasGone()
    {
        _peer.Send("what is left"u8);
        _peer.EndSending();
        string seen = "";
        On(() => _ = ReadAsync());
        PoolerRig.WaitUntil(() => On(() => seen) == "what is left", "the data and the end");
        AssertNoDefect();

        async Task ReadAsync()
        {
            while (!_connection.Input.IsEnded)
            {
                await _connection.Input.ReadAsync();
                string text = System.Text.Encoding.ASCII.GetString(_connection.Input.Unread);
                _connection.Input.Advance(0);
                seen = _connection.Input.IsEnded ? text : "";
            }
        }
    }

    /// <summary>What is received before anybody reads is kept in memory of its own, whatever its size: pools lend nothing of it.</summary>
    [Theory]
    [InlineData(BlockPool.SmallSize)]
    [InlineData((4 * IoRing.BufferSize) + BlockPool.SmallSize)]
    [InlineData(BlockPool.BlockSize)]
    public void WhatWaitsToBeReadIsNobodyElsesMemory(int length)
    {
        byte[] data = new byte[length];
        new Random(4).NextBytes(data);
        _peer.Send(data);
        PoolerRig.WaitUntil(() => On(() => _connection.Readable), "the data");
        List<byte[]> lent = On(() =>
        {
            List<byte[]> lent = [.. Enumerable.Range(0, 8).SelectMany(_ => new[] { _thread.Blocks.RentSmall(), _thread.Blocks.Rent() })];
            lent.ForEach(static block => Array.Fill(block, (byte)0xEE));
            return lent;
        });
        byte[] received = new byte[length];
        int count = 0;
        On(() => _ = ReadAsync());
        PoolerRig.WaitUntil(() => On(() => count) == length, "all data");
        Assert.Equal(data, received);
        On(() =>
        {
            lent.ForEach(_thread.Blocks.Return);
            return true;
        });
        AssertNoDefect();

        async Task ReadAsync()
        {
            while (count < length)
            {
                await _connection.Input.ReadAsync();
                _connection.Input.Unread.CopyTo(received.AsSpan(count));
                count += _connection.Input.UnreadLength;
                _connection.Input.Advance(_connection.Input.UnreadLength);
            }
        }
    }

    /// <summary>A client that waits for its server may send on and then leave: it must not stay in the queue.</summary>
    [Fact]
    public void WhoLeavesWhileNobodyReadsIsSeen()
    {
        bool seen = false;
        On(() => _ = ParkAsync());
        for (int i = 0; i < 20; i++)
        {
            _peer.Send((byte)i);
            On(() => true); // A turn, so that it comes by itself.
        }

        _peer.EndSending();
        PoolerRig.WaitUntil(() => On(() => seen && _connection.HasHungUp), "the end");
        On(() => _ = ReadAsync());
        PoolerRig.WaitUntil(() => On(() => _connection.Input.IsEnded), "all of it");
        Assert.Equal([.. Enumerable.Range(0, 20).Select(static i => (byte)i)], On(() => _connection.Input.Unread.ToArray()));
        AssertNoDefect();

        async Task ParkAsync()
        {
            await _connection.Input.ParkAsync();
            seen = true;
        }

        async Task ReadAsync()
        {
            while (!_connection.Input.IsEnded)
            {
                await _connection.Input.ReadAsync();
                _connection.Input.Advance(0);
            }
        }
    }

    [Fact]
    public void AWakeBringsTheReaderBackWithoutDataAndNeverInTheCallersFrame()
    {
        int wakes = 0;
        On(() => _ = ReadAsync());
        for (int i = 1; i <= 5; i++)
        {
            Assert.Equal(i - 1, On(() =>
            {
                _connection.Input.Wake();
                _connection.Input.Wake();
                return wakes;
            }));
            PoolerRig.WaitUntil(() => On(() => wakes) == i, "the wake");
        }

        AssertNoDefect();

        async Task ReadAsync()
        {
            while (true)
            {
                System.IO.Pipelines.ReadResult result = await _connection.Input.ReadAsync();
                if (_connection.Input.IsEnded)
                {
                    return;
                }

                Assert.True(result.IsCanceled);
                Assert.Equal(0, _connection.Input.UnreadLength);
                wakes++;
            }
        }
    }

    /// <summary>A flood is read in turns: between two of them everything else has its own.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void AFloodKeepsToItsBudget(int readsPerTurn)
    {
        long total = 0, most = 0, reads = 0, lastTurn = -1;
        var turns = new TurnCounter(_thread);
        On(() =>
        {
            _thread.ReadsPerTurn = readsPerTurn;
            _thread.Schedule(turns);
            return _ = ReadAsync();
        });
        byte[] data = new byte[10_000_000];
        _peer.Send(data);
        PoolerRig.WaitUntil(() => On(() => total) == data.Length, "all data");
        On(() => turns.Stop = true);

        // An event and the run list may each give it a turn's budget before the counter runs again.
        Assert.InRange(On(() => most), 1, 2 * readsPerTurn);
        AssertNoDefect();

        async Task ReadAsync()
        {
            while (!_connection.Input.IsEnded)
            {
                await _connection.Input.ReadAsync();
                total += _connection.Input.UnreadLength;
                _connection.Input.Advance(_connection.Input.UnreadLength);
                reads = turns.Count == lastTurn ? reads + 1 : 1;
                lastTurn = turns.Count;
                most = Math.Max(most, reads);
            }
        }
    }

    [Fact]
    public void AConnectionTouchedOffItsThreadIsADefect()
    {
        Assert.Throws<InvalidOperationException>(_connection.CheckThread);
        Assert.Throws<InvalidOperationException>(() => { _ = _connection.Input.ReadAsync(TestContext.Current.CancellationToken).AsTask(); });
        Assert.Throws<InvalidOperationException>(() => { _ = _connection.Input.ParkAsync().AsTask(); });
        Assert.Throws<InvalidOperationException>(() => _connection.Detach(static _ => { }));
        Assert.Throws<InvalidOperationException>(_connection.Close);
        Assert.True(_defects.Count >= 5);
        Assert.All(_defects, static d => Assert.Contains("off its I/O thread", d, StringComparison.Ordinal));
    }

    [Fact]
    public void WhatMayBlockIsADefectOnAnIoThread()
    {
        IoThread.MustNotBeHere();
        Assert.Empty(_defects);
        On(() =>
        {
            IoThread.MustNotBeHere();
            return true;
        });
        Assert.Contains("ran on an I/O thread", Assert.Single(_defects), StringComparison.Ordinal);
    }

    /// <summary>The net below the rule: a foreign task brings the code back to its thread, and is counted.</summary>
    [Fact]
    public void AForeignTaskIsCountedAndComesBack()
    {
        bool? isBack = null;
        On(() => _ = AwaitForeignAsync());
        PoolerRig.WaitUntil(() => On(() => isBack) == true, "the way back");
        Assert.Equal(_foreignResumes + 1, IoThread.ForeignResumes);

        async Task AwaitForeignAsync()
        {
            await Task.Yield();
            isBack = _thread.IsCurrent;
        }
    }

    [Fact]
    public void AnOffloadComesBackToItsThread()
    {
        (bool Away, bool Back) seen = default;
        On(() => _ = RunAsync());
        PoolerRig.WaitUntil(() => On(() => seen) is (true, true), "the way back");
        AssertNoDefect();

        async Task RunAsync()
        {
            bool away = await Offload.Run(_connection, static _ => IoThread.Current == null, 0);
            seen = (away, _thread.IsCurrent);
        }
    }

    private void AssertNoDefect()
    {
        Assert.Empty(_defects);
        Assert.Equal(_foreignResumes, IoThread.ForeignResumes);
    }

    private T On<T>(Func<T> function)
    {
        T? result = default;
        Exception? fault = null;
        using var done = new ManualResetEventSlim();
        _thread.Post(() =>
        {
            try
            {
                result = function();
            }
            catch (Exception e)
            {
                fault = e;
            }

            done.Set();
        });
        Assert.True(done.Wait(RawPeer.Patience), "the I/O thread does not turn");
        return fault == null ? result! : throw new InvalidOperationException(fault.Message, fault);
    }

    private sealed class TurnCounter(IoThread thread) : RunItem
    {
        public long Count { get; private set; }

        public bool Stop { get; set; }

        internal override void Run()
        {
            Count++;
            if (!Stop)
            {
                thread.Schedule(this);
            }
        }
    }
}
