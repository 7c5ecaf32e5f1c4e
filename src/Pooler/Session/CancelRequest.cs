using Pooler.Net;

namespace Pooler.Session;

/// <summary>A CancelRequest on its connection, which gets no answer and is closed when the request has been acted on.</summary>
internal sealed class CancelRequest(Connection client)
{
    /// <summary>To be read on the connection's own thread.</summary>
    public bool IsDone { get; private set; }

    /// <summary>All that can be done has been done. From any I/O thread.</summary>
    public void Done() => client.Owner.Post(() =>
    {
        IsDone = true;
        client.Input.Wake();
    });
}
