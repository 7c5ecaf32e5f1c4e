using System.Net;
using System.Net.Sockets;

namespace Pooler.Net;

/// <summary>Addresses as PgBouncer shows them: an IP address and a port, "unix" for local sockets.</summary>
internal static class EndpointText
{
    /// <summary>address:port, an IPv6 address in brackets (PgBouncer, src/util.c).</summary>
    public static string Join(string address, int port) => address.Contains(':', StringComparison.Ordinal) ? $"[{address}]:{port}" : $"{address}:{port}";

    public static (string Address, int Port) Describe(SocketAddress? address)
    {
        switch (address?.Family)
        {
            case AddressFamily.InterNetwork:
                var v4 = (IPEndPoint)new IPEndPoint(IPAddress.Any, 0).Create(address);
                return (v4.Address.ToString(), v4.Port);
            case AddressFamily.InterNetworkV6:
                var v6 = (IPEndPoint)new IPEndPoint(IPAddress.IPv6Any, 0).Create(address);
                return ((v6.Address.IsIPv4MappedToIPv6 ? v6.Address.MapToIPv4() : v6.Address).ToString(), v6.Port);
            default:
                return ("unix", 0);
        }
    }
}
