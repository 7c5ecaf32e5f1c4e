using System.Net.Sockets;
using Pooler.Net;
using Pooler.Tests.Session;
using Xunit;

namespace Pooler.Tests.Net;

/// <summary>The ring against the real kernel, and against one that refuses: no operation is lost, none reaches a stranger's socket.</summary>
public sealed class RingTests
{
    private const int Entries = 8;

    /// <summary>Ten times what the submission ring holds, beside a kernel that has no memory, is interrupted, and wants its completions taken.</summary>
    [Theory]
    [InlineData]
    [InlineData(-Syscalls.EAGAIN)]
    [InlineData(-Syscalls.EBUSY, -Syscalls.EBUSY, -Syscalls.EAGAIN, -Syscalls.EINTR, -Syscalls.ETIME, -Syscalls.EAGAIN)]
    public void NoOperationIsLost(params int[] refusals)
    {
        using OnRing on = Open(new RefusingRing(refusals));
        int fd = Syscalls.EventFd();
        for (int i = 1; i <= 10 * Entries; i++)
        {
            on.Ring.PollWritable(fd, (ulong)i);
        }

        Assert.Equal(Enumerable.Range(1, 10 * Entries).Select(static i => (ulong)i), on.Take(10 * Entries).Order());
        Assert.Equal(0, on.Ring.Unsubmitted);
        Syscalls.Close(fd);
    }

    /// <summary>The completion ring holds four times the entries; the rest waits in the kernel.</summary>
    [Fact]
    public void NoCompletionIsLostWhenTheirRingIsFull()
    {
        using OnRing on = Open(new RefusingRing());
        int fd = Syscalls.EventFd();
        for (int i = 1; i <= 20 * Entries; i++)
        {
            on.Ring.PollWritable(fd, (ulong)i);
            on.Ring.Enter(0);
        }

        Assert.Equal(20 * Entries, on.Take(20 * Entries).Distinct().Count());
        Syscalls.Close(fd);
    }

    [Theory]
    [InlineData(9)] // EBADF
    [InlineData(53)] // EBADR: completions were dropped
    public void AKernelThatRefusesForGoodIsTold(int errno)
    {
        using OnRing on = Open(new RefusingRing(-errno));
        string message = Assert.Throws<IOException>(() => on.Ring.Enter(0)).Message;
        Assert.Contains("io_uring_enter", message, StringComparison.Ordinal);
        Assert.Contains("io_engine", message, StringComparison.Ordinal);
    }

    /// <summary>Also what was refused in the frame of a session, which must not end in an exception.</summary>
    [Fact]
    public void ARefusalInBetweenIsToldAtTheNextTurn()
    {
        using OnRing on = Open(new RefusingRing(-9));
        int fd = Syscalls.EventFd();
        for (int i = 0; i <= Entries; i++)
        {
            on.Ring.PollWritable(fd, 1);
        }

        Assert.Throws<IOException>(() => on.Ring.Enter(0));
        Syscalls.Close(fd);
    }

    [Fact]
    public void AKernelThatNeverHasMemoryIsToldInTheEnd()
    {
        using OnRing on = Open(new RefusingRing(Enumerable.Repeat(-Syscalls.EAGAIN, 100)));
        int fd = Syscalls.EventFd();
        on.Ring.PollWritable(fd, 1);
        on.Ring.Enter(0);
        on.Ring.Clock += 9_000;
        on.Ring.Enter(0);
        on.Ring.Clock += 2_000;
        Assert.Throws<IOException>(() => on.Ring.Enter(0));
        Syscalls.Close(fd);
    }

    /// <summary>A descriptor is closed before its operations are submitted, and its number is the next connection's.</summary>
    [Theory]
    [InlineData]
    [InlineData(-Syscalls.EAGAIN)]
    public void WhatWasAskedForAClosedDescriptorReachesNobodyElse(params int[] refusals)
    {
        using OnRing on = Open(new RefusingRing(refusals));
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        listener.Listen();
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(listener.LocalEndPoint!);
        using Socket server = listener.Accept();
        client.Send("mine"u8);

        byte[] secret = GC.AllocateArray<byte>(100, pinned: true);
        int fd = Syscalls.EventFd();
        on.Ring.Send(fd, secret, 0, secret.Length, 1);
        on.Ring.Receive(fd, 2);
        on.Ring.Flush(fd);
        Assert.Equal(fd, Kernel.Replace((int)server.Handle, fd));
        Assert.Equal([1UL, 2UL], on.Take(2).Order());
        Assert.Equal((0, 4), (client.Available, server.Available));
        Syscalls.Close(fd);
    }

    /// <summary>A buffer that was filled once stays in memory: whoever receives one thing after the other fills few.</summary>
    [Fact]
    public void AQuietRingFillsFewBuffers()
    {
        using OnRing on = Open(new RefusingRing());
        using var peers = new DatagramPair();
        on.Ring.Receive(peers.Fd, 1);
        HashSet<int> filled = [];
        for (int i = 0; i < 2 * IoRing.BufferCount; i++)
        {
            peers.Send();
            int buffer = on.TakeBuffers(peers.Fd, 1).Single();
            filled.Add(buffer);
            on.Ring.ReturnBuffer(buffer);
        }

        Assert.InRange(filled.Count, 1, IoRing.BufferCount / 8);
    }

    /// <summary>Those kept aside come when they are needed, also when all that were provided are filled at once.</summary>
    [Fact]
    public void ABusyRingGetsAllItsBuffers()
    {
        using OnRing on = Open(new RefusingRing());
        using var peers = new DatagramPair();
        for (int i = 0; i < IoRing.BufferCount; i++)
        {
            peers.Send();
        }

        on.Ring.Receive(peers.Fd, 1);
        Assert.Equal(IoRing.BufferCount, on.TakeBuffers(peers.Fd, IoRing.BufferCount).Distinct().Count());
    }

    private static OnRing Open(RefusingRing ring)
    {
        int error = ring.Open(Entries);
        Assert.SkipWhen(error != 0, $"io_uring is refused here: errno {error}");
        return new OnRing(ring);
    }

    private sealed class OnRing(RefusingRing ring) : IDisposable
    {
        public RefusingRing Ring => ring;

        /// <summary>Buffers filled by a receive with the tag 1, which is armed again whenever it ends.</summary>
        public List<int> TakeBuffers(int fd, int count)
        {
            List<int> buffers = [];
            for (long start = Environment.TickCount64; buffers.Count < count && Environment.TickCount64 - start < RawPeer.Patience.TotalMilliseconds;)
            {
                ring.Enter(1);
                while (ring.TryTake(out _, out int result, out uint flags))
                {
                    Assert.True(result is > 0 or -Syscalls.ENOBUFS, $"received {result}");
                    if ((flags & IoRing.CompletionHasBuffer) != 0)
                    {
                        buffers.Add((int)(flags >> 16));
                    }

                    if ((flags & IoRing.CompletionHasMore) == 0)
                    {
                        ring.Receive(fd, 1);
                    }
                }
            }

            Assert.Equal(count, buffers.Count);
            return buffers;
        }

        public List<ulong> Take(int count)
        {
            List<ulong> tags = [];
            for (long start = Environment.TickCount64; tags.Count < count && Environment.TickCount64 - start < RawPeer.Patience.TotalMilliseconds;)
            {
                ring.Enter(1);
                while (ring.TryTake(out ulong tag, out _, out _))
                {
                    tags.Add(tag);
                }
            }

            return tags;
        }

        public void Dispose() => ring.Close();
    }
    /// <summary>Each datagram takes a buffer of its own.</summary>
    private sealed class DatagramPair : IDisposable
    {
        private readonly Socket _sender = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp), _receiver = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);

        public DatagramPair()
        {
            _receiver.ReceiveBufferSize = 1 << 20;
            _receiver.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
            _sender.Connect(_receiver.LocalEndPoint!);
        }

        public int Fd => (int)_receiver.Handle;

        public void Send() => Assert.Equal(1, _sender.Send("x"u8));

        public void Dispose()
        {
            _sender.Dispose();
            _receiver.Dispose();
        }
    }
}
