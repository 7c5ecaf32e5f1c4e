using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Pooler.Config;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>
/// The HTTP listener: Kestrel alone, without the rest of ASP.NET, where http_listen_addr and http_listen_port say; at 0 nothing of it is
/// made. That it cannot listen stops nothing: it says so and tries again, for the port is often only held by the process before this one.
/// </summary>
internal sealed class HttpServer(LiveConfig live, IReadOnlyList<HttpEndpoint> endpoints, ILogger log) : IAsyncDisposable
{
    // A scraper and a few pages; a flood of connections is not to take descriptors from clients.
    private const int MostConnections = 100;

    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(3), s_deadline = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _changed = new(0);
    private readonly CancellationTokenSource _end = new();
    private readonly TaskCompletionSource _tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task? _running;

    /// <summary>Begins, and completes when it listens, or has found that it cannot; off, there is nothing to begin.</summary>
    public Task StartAsync()
    {
        if (HttpAddress.Of(live.Current).IsOff)
        {
            return Task.CompletedTask;
        }

        _running ??= Task.Run(KeepAsync);
        return Task.WhenAny(_tried.Task, _running);
    }

    /// <summary>The configuration is another. Any thread, one at a time.</summary>
    public void Changed()
    {
        _ = StartAsync();
        _changed.Release();
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        Task running = _running ?? Task.CompletedTask;
        await running.WaitAsync(2 * s_deadline).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (running.IsCompleted)
        {
            _changed.Dispose();
            _end.Dispose();
        }
    }

    /// <summary>Listens where it should, from one change of the configuration to the next.</summary>
    private async Task KeepAsync()
    {
        var present = new HttpAddress("", 0);
        Func<Task>? stop = null;
        string? problem = null;
        while (!_end.IsCancellationRequested)
        {
            HttpAddress wanted = HttpAddress.Of(live.Current);
            if (wanted != present)
            {
                await (stop?.Invoke() ?? Task.CompletedTask);
                stop = null;
                string? before = problem;
                (stop, problem) = wanted.IsOff ? (null, null) : await TryListenAsync(wanted);
                present = problem == null ? wanted : new HttpAddress("", 0);
                if (problem != null && problem != before)
                {
                    log.Warn(problem);
                }
            }

            _tried.TrySetResult();
            await ((Task)_changed.WaitAsync(problem == null ? Timeout.InfiniteTimeSpan : s_retry, _end.Token)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await (stop?.Invoke() ?? Task.CompletedTask);
    }

    private async Task<(Func<Task>? Stop, string? Problem)> TryListenAsync(HttpAddress address)
    {
        KestrelServer? server = null;
        try
        {
            server = Create(await address.ResolveAsync());
            var stopping = new CancellationTokenSource();
            await server.StartAsync(new HttpAnswers(endpoints, log, stopping.Token), _end.Token);
            string name = $"{address}";
            log.Listening(name);
            KestrelServer running = server;
            return (() => StopAsync(running, stopping), null);
        }
        catch (Exception e) when (e is IOException or SocketException or AddressInUseException or InvalidOperationException or OperationCanceledException)
        {
            server?.Dispose();
            return (null, $"cannot listen on {address}: {e.GetBaseException().Message}; no metrics and no health until it can (http_listen_addr, http_listen_port)");
        }
    }

    /// <summary>Answers that are under way have a moment to end.</summary>
    private static async Task StopAsync(KestrelServer server, CancellationTokenSource stopping)
    {
        await stopping.CancelAsync();
        using var deadline = new CancellationTokenSource(s_deadline);
        await server.StopAsync(deadline.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        server.Dispose();
    }

    private static KestrelServer Create(List<IPEndPoint> addresses)
    {
        var options = new KestrelServerOptions { AddServerHeader = false };
        options.Limits.MaxConcurrentConnections = MostConnections;
        options.Limits.MaxRequestBodySize = 0;
        options.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        foreach (IPEndPoint address in addresses)
        {
            options.Listen(address, static o => o.Protocols = HttpProtocols.Http1);
        }

        // No queues of its own: whatever there is to do the thread pool does.
        var transport = new SocketTransportFactory(Options.Create(new SocketTransportOptions { IOQueueCount = 0 }), NullLoggerFactory.Instance);
        return new KestrelServer(Options.Create(options), transport, NullLoggerFactory.Instance);
    }
}
