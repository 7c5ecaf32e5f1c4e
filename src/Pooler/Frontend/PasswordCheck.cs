using System.Security.Cryptography;
using Pooler.Net;

namespace Pooler.Frontend;

/// <summary>A client's login waits for somebody else, who blocks, to check its password. The password is wiped when that has been done.</summary>
internal sealed class PasswordCheck(Connection client, byte[] password, Func<byte[], string?> check)
{
    private volatile bool _hasLeft;

    /// <summary>To be read on the client's own thread.</summary>
    public PasswordCheckState State { get; private set; }

    /// <summary>Why it was not accepted, for the log.</summary>
    public string? Problem { get; private set; }

    /// <summary>On the client's own thread: it has gone, or its time is up.</summary>
    public void Leave() => _hasLeft = true;

    /// <summary>Not on an I/O thread.</summary>
    public void Run()
    {
        string? problem = null;
        try
        {
            if (_hasLeft)
            {
                return;
            }

            problem = check(password);
        }
        catch (Exception e)
        {
            problem = e.Message;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(password);
        }

        client.Owner.Post(() => Done(problem));
    }

    private void Done(string? problem)
    {
        (State, Problem) = (problem == null ? PasswordCheckState.Accepted : PasswordCheckState.Refused, problem);
        client.Input.Wake();
    }
}
