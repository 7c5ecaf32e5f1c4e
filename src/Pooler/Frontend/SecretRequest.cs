using Pooler.Backend;
using Pooler.Net;

namespace Pooler.Frontend;

/// <summary>A client's login waits for what auth_query says of its user.</summary>
internal sealed class SecretRequest(Connection client)
{
    private volatile bool _hasLeft;

    /// <summary>To be read on the client's own thread.</summary>
    public AuthAnswer? Answer { get; private set; }

    /// <summary>False: the client has gone, or its time is up. From any I/O thread.</summary>
    public bool IsWanted => !_hasLeft;

    /// <summary>On the client's own thread.</summary>
    public void Leave() => _hasLeft = true;

    /// <summary>From any I/O thread.</summary>
    public void Done(AuthAnswer answer) => client.Owner.Post(() =>
    {
        Answer = answer;
        client.Input.Wake();
    });
}
