using System.Net;
using Pooler.Config;

namespace Pooler.Monitoring;

/// <summary>Where http_listen_addr and http_listen_port say that HTTP is spoken.</summary>
internal sealed record HttpAddress(string Names, int Port)
{
    /// <summary>Nobody is to listen.</summary>
    public bool IsOff => Port == 0 || Names.Length == 0;

    public static HttpAddress Of(PoolerConfig config) => new(string.Join(',', config.Get(Settings.HttpListenAddr)), config.Get(Settings.HttpListenPort));

    /// <summary>The addresses its names stand for.</summary>
    public async Task<List<IPEndPoint>> ResolveAsync()
    {
        List<IPEndPoint> endpoints = [];
        foreach (string name in Names.Split(','))
        {
            IPAddress[] addresses = name == "*" ? [IPAddress.IPv6Any]
                : IPAddress.TryParse(name, out IPAddress? address) ? [address]
                : await Dns.GetHostAddressesAsync(name);
            endpoints.AddRange(addresses.Select(a => new IPEndPoint(a, Port)));
        }

        return endpoints;
    }

    public override string ToString() => string.Join(", ", Names.Split(',').Select(n => $"http://{(n.Contains(':', StringComparison.Ordinal) ? $"[{n}]" : n)}:{Port}"));
}
