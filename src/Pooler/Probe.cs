using System.Net.Sockets;
using Pooler.Config;

namespace Pooler;

/// <summary>--probe: asks the process on this machine how it is, for containers that have no program to ask with.</summary>
internal static class Probe
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>The exit status: 0 if all is well. What was answered is printed.</summary>
    public static async Task<int> AskAsync(string path, IReadOnlyDictionary<string, string> environment)
    {
        if (AddressOf("", path, environment) is not { } address)
        {
            return 1;
        }

        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = s_patience };
        try
        {
            using HttpResponseMessage answer = await client.GetAsync(address);
            Console.Write(await answer.Content.ReadAsStringAsync());
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or SocketException)
        {
            Console.Error.WriteLine($"{address} does not answer: {e.GetBaseException().Message} (http_listen_addr, http_listen_port)");
            return 1;
        }
    }

    /// <summary>Of a process's HTTP listener: this machine's unless another is named. Null when that is no address, which has been said then.</summary>
    public static Uri? AddressOf(string host, string path, IReadOnlyDictionary<string, string> environment)
    {
        string port = environment.GetValueOrDefault("POOLER_HTTP_LISTEN_PORT") ?? $"{Settings.HttpListenPort.Default}";
        string text = host.Length == 0 ? $"http://127.0.0.1:{port}" : host.Contains("://", StringComparison.Ordinal) ? host.TrimEnd('/') : $"http://{host}";
        if (Uri.TryCreate($"{text}/{path}", UriKind.Absolute, out Uri? address) && address.Scheme is ("http" or "https"))
        {
            return address;
        }

        Console.Error.WriteLine(host.Length == 0 ? $"POOLER_HTTP_LISTEN_PORT is no port: {port}" : $"this is no address: {host} (http://HOST:PORT)");
        return null;
    }
}
