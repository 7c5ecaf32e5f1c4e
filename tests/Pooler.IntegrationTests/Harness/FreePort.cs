using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>Ports nobody listens on, below the range the kernel gives to outgoing connections, each handed out once.</summary>
internal static class FreePort
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<int> Taken = [];

    public static int Next()
    {
        lock (Gate)
        {
            while (true)
            {
                int port = Random.Shared.Next(20000, 32000);
                if (Taken.Add(port) && IsFree(port))
                    return port;
            }
        }
    }

    private static bool IsFree(int port)
    {
        using var listener = new TcpListener(IPAddress.Loopback, port);
        try
        {
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
