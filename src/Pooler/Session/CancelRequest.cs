using Pooler.Net;

namespace Pooler.Session;

/// <summary>A CancelRequest on its connection, which gets no answer and is closed when the request has been acted on.</summary>
internal sealed class CancelRequest(Connection client)
{
    public long Id => client.Id;

    /// <summary>Thread clock, microseconds.</summary>
    public long At { get; } = client.Owner.Now;

    public (string Address, int Port) Peer { get; } = client.Name(peer: true);

    public (string Address, int Port) Local { get; } = client.Name(peer: false);

    /// <summary>Whether a request to its server is under way for it. Changes on the session's thread.</summary>
    public bool IsActive { get; set; }

    /// <summary>To be read on the connection's own thread.</summary>
    public bool IsDone { get; private set; }

    /// <summary>All that can be done has been done. From any I/O thread.</summary>
    public void Done() => client.Owner.Post(() =>
    {
        IsDone = true;
        client.Input.Wake();
    });
}
