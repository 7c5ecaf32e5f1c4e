using Pooler.Backend;
using Pooler.Net;

namespace Pooler.Frontend;

/// <summary>A client's login waits for what auth_query says of its user.</summary>
internal sealed class SecretRequest(Connection client)
{
    /// <summary>To be read on the client's own thread.</summary>
    public AuthAnswer? Answer { get; private set; }

    /// <summary>From any I/O thread.</summary>
    public void Done(AuthAnswer answer) => client.Owner.Post(() =>
    {
        Answer = answer;
        client.Input.Wake();
    });
}
