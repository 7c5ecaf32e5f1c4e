using Pooler.Pooling;

namespace Pooler.Session;

/// <summary>A session's place in its pool's queue.</summary>
internal sealed class LeaseRequest(ClientSession session) : Waiter
{
    internal override void Wake() => session.Wake();
}
