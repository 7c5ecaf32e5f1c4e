using System.Net.Http.Headers;
using Microsoft.Extensions.Logging;
using Pooler.Admin;
using Pooler.Config;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>Sends the metrics to otlp_endpoint, each otlp_interval and once more at the end; without an endpoint nothing of it is made.</summary>
internal sealed class OtlpSender(AdminConsole console, ILogger log) : IAsyncDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(10), s_farewell = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _changed = new(0);
    private readonly CancellationTokenSource _end = new();
    private readonly LabelLimit _limit = new();
    private HttpClient? _client;
    private Task? _running;
    private bool _isFailing;

    /// <summary>The configuration is another, or the first. Any thread, one at a time.</summary>
    public void Changed()
    {
        if (_running == null && !IsOn(console.Live.Current))
        {
            return;
        }

        _running ??= Task.Run(KeepAsync);
        _changed.Release();
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await (_running ?? Task.CompletedTask).WaitAsync(2 * s_farewell).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _client?.Dispose();
        _end.Dispose();
        _changed.Dispose();
    }

    private static bool IsOn(PoolerConfig config) => config.Get(Settings.OtlpEndpoint) != null && config.Get(Settings.OtlpInterval) > TimeSpan.Zero;

    private async Task KeepAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            PoolerConfig config = console.Live.Current;
            TimeSpan pause = IsOn(config) ? config.Get(Settings.OtlpInterval) : Timeout.InfiniteTimeSpan;
            try
            {
                if (await _changed.WaitAsync(pause, _end.Token))
                {
                    continue; // By the new settings.
                }
            }
            catch (OperationCanceledException)
            {
                break;
            }

            await SendAsync(config, s_deadline);
        }

        if (IsOn(console.Live.Current))
        {
            await SendAsync(console.Live.Current, s_farewell);
        }
    }

    private async Task SendAsync(PoolerConfig config, TimeSpan deadline)
    {
        string endpoint = config.Get(Settings.OtlpEndpoint)!.TrimEnd('/') + "/v1/metrics";
        string? problem = null;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, endpoint) { Content = new ReadOnlyMemoryContent(OtlpMetrics.Write(console, _limit)) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/x-protobuf");
            foreach (string pair in (config.Get(Settings.OtlpHeaders) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            {
                string[] parts = pair.Split('=', 2, StringSplitOptions.TrimEntries);
                request.Headers.TryAddWithoutValidation(parts[0], Uri.UnescapeDataString(parts[^1]));
            }

            using var limit = new CancellationTokenSource(deadline);
            _client ??= new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });
            using HttpResponseMessage answer = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            problem = answer.IsSuccessStatusCode ? null : $"it answered {(int)answer.StatusCode}";
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or FormatException)
        {
            problem = e.GetBaseException().Message;
        }

        if (problem != null && !_isFailing)
        {
            string text = $"metrics cannot be sent to {endpoint}: {problem} (otlp_endpoint); tried again each otlp_interval";
            log.Warn(text);
        }

        _isFailing = problem != null;
    }
}
