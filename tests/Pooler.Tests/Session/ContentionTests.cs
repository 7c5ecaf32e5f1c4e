using System.Text;
using Xunit;

namespace Pooler.Tests.Session;

/// <summary>More clients than servers, each with settings of its own.</summary>
[Collection(IoThreads.Name)]
public sealed class ContentionTests
{
    /// <summary>Our own SET is outstanding when the request comes: it must not make the request wait, or nobody is ever served.</summary>
    [Fact]
    public void AClientWithSettingsOfItsOwnIsServedWhileOthersWait()
    {
        using var rig = new PoolerRig();
        RawPeer a = rig.Client(), server = rig.Postgres.Next(), b = rig.Client(), c = rig.Client();
        a.Send(Wire.Query("a"));
        server.Expect(Wire.Query("a"));
        b.Send(Wire.Query("b"));
        rig.WaitFor(static p => p.Waiting == 1, "b waits");
        c.Send(Wire.Query("c"));
        rig.WaitFor(static p => p.Waiting == 2, "c waits");

        // The server reports a change of its own to a: from here on b's settings differ from the server's, and are reported ones.
        server.Send(Wire.Join(Wire.Parameter("TimeZone", "Asia/Tokyo"), Wire.Answer("a")));
        byte[] set = server.ReceiveFrame();
        Assert.StartsWith("QSET TimeZone", Encoding.ASCII.GetString(set).Remove(1, 4), StringComparison.Ordinal);
        server.Expect(Wire.Query("b"));
    }
}
