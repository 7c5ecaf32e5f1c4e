using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>Who gets what a server sends: the exchange of the client that holds it, the pool while it is idle, housekeeping in between.</summary>
internal abstract class ServerOwner
{
    /// <summary>
    /// Takes bytes from the front of <paramref name="data"/> and returns how many; 0 when more must come first. Whole frames
    /// and parts of frames: <see cref="ServerConnection.FrameRemaining"/> says how much of a frame is still to come.
    /// </summary>
    internal abstract int Receive(ServerConnection server, ReadOnlySpan<byte> data);

    /// <summary>The server is gone; <see cref="ServerConnection.Failure"/> says why. Called once, on its I/O thread.</summary>
    internal abstract void Closed(ServerConnection server);

    /// <summary>A CancelRequest for the server has come to its end, one way or the other. Not called for a server that is gone.</summary>
    internal virtual void CancelEnded(ServerConnection server)
    {
    }

    /// <summary>The server is to be replaced: whoever keeps it without having anything under way on it lets go (server_fast_close).</summary>
    internal virtual void EndIfFree(ServerConnection server, ErrorFields reason)
    {
    }

    /// <summary>The outbox that must be empty before more is read from the server; null when nothing holds it up.</summary>
    internal virtual Outbox? BlockedBy => null;
}
