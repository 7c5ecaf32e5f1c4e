namespace Pooler.Session;

/// <summary>How far a cancel request is on its way to a peer.</summary>
internal enum PeerCancelState
{
    /// <summary>As many as may be are under way already.</summary>
    Waiting,

    Connecting,

    /// <summary>It was sent; the peer ends the connection when it has done what it can.</summary>
    Sent,

    Ended,
}
