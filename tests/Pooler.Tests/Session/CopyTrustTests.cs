using Xunit;

namespace Pooler.Tests.Session;

/// <summary>
/// A Sync behind COPY data is ignored while the COPY goes on and answered when the data had already failed: the replies alone do
/// not tell which. A server of which that is not known goes to nobody as it is.
/// </summary>
[Collection(IoThreads.Name)]
public sealed class CopyTrustTests
{
    [Fact]
    public void AReadyForQueryTooManyNeverReachesTheNextClient()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client();
        byte[] start = Wire.Join(Wire.Parse("copy t from stdin"), Wire.Bind(), Wire.Execute(), Wire.Flush);
        byte[] rest = Wire.Join(Wire.CopyData("bad\n"), Wire.Sync, Wire.CopyDone, Wire.Sync);
        a.Send(start);
        server.Expect(start);
        server.Send(Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Frame('G', 0, 0, 0)));
        a.Expect(Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Frame('G', 0, 0, 0)));
        a.Send(rest);
        server.Expect(rest);
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");

        // The data is wrong: PostgreSQL skips to the first Sync and answers it, ignores CopyDone, and answers the second Sync.
        server.Send(Wire.Join(Wire.Error("invalid input syntax"), Wire.Ready('I')));
        rig.Turn();
        server.Send(Wire.Ready('I'));
        rig.Turn();
        if (server.Available > 0 && server.ReceiveFrame() is var next && !next.AsSpan().SequenceEqual(Wire.Query("b")))
        {
            Assert.Equal(Wire.Query("DISCARD ALL"), next);
        }

        Assert.Equal(0, b.Available);
    }

    /// <summary>The same, a client further: from here on every reply goes to the next client but one.</summary>
    [Fact]
    public void RowsOfOneClientNeverReachAnother()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(), c = rig.Client();
        byte[] start = Wire.Join(Wire.Parse("copy t from stdin"), Wire.Bind(), Wire.Execute(), Wire.Flush);
        byte[] begun = Wire.Join(Wire.Frame('1'), Wire.Frame('2'), Wire.Frame('G', 0, 0, 0));
        byte[] rest = Wire.Join(Wire.CopyData("bad\n"), Wire.Sync, Wire.CopyDone, Wire.Sync);
        a.Send(start);
        server.Expect(start);
        server.Send(begun);
        a.Expect(begun);
        a.Send(rest);
        server.Expect(rest);
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        c.Send(Wire.Query("c"));
        rig.WaitFor(static p => p.Waiting == 2, "c waits");
        server.Send(Wire.Join(Wire.Error("invalid input syntax"), Wire.Ready('I')));
        rig.Turn();
        server.Send(Wire.Ready('I'));
        rig.Turn();
        if (server.Available > 0 && server.ReceiveFrame().AsSpan().SequenceEqual(Wire.Query("b")))
        {
            server.Send(Wire.Answer("secret of b"));
            rig.Turn();
        }

        string seen = c.Available > 0 ? RawPeer.Show(c.Receive(c.Available)) : "";
        Assert.DoesNotContain("secret of b", seen, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Z")]
    [InlineData("TZ")]
    [InlineData("TDZ")]
    public void ReadyForQueryBeforeTheAnswerIsOutOfStep(string types)
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        foreach (char type in types)
        {
            server.Send(type switch { 'T' => Wire.RowDescription("v"), 'D' => Wire.Row("x"), _ => Wire.Ready('I') });
        }

        Assert.Contains("FATAL", RawPeer.Show(a.ReceiveToEnd()), StringComparison.Ordinal);
    }
}
