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
        string port = environment.GetValueOrDefault("POOLER_HTTP_LISTEN_PORT") ?? $"{Settings.HttpListenPort.Default}";
        if (!Uri.TryCreate($"http://127.0.0.1:{port}/{path}", UriKind.Absolute, out Uri? address))
        {
            Console.Error.WriteLine($"POOLER_HTTP_LISTEN_PORT is no port: {port}");
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
}
