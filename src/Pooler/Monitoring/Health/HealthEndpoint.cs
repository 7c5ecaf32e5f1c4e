using Microsoft.AspNetCore.Http;
using Pooler.Net;

namespace Pooler.Monitoring;

/// <summary>/healthz: whether every I/O thread still turns; one that hangs does not come back, so the process should be started anew.</summary>
internal sealed class HealthEndpoint(IoThread[] threads) : HttpEndpoint("/healthz")
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(3);

    internal override async Task AnswerAsync(HttpContext context, CancellationToken ended)
    {
        Task turned = Task.WhenAll([.. threads.Select(TurnedAsync)]);
        await turned.WaitAsync(s_patience, ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        ended.ThrowIfCancellationRequested();
        bool isAlive = turned.IsCompletedSuccessfully;
        await SendAsync(context, isAlive ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, "text/plain; charset=utf-8",
            isAlive ? "ok\n"u8.ToArray() : "an I/O thread hangs\n"u8.ToArray(), ended);
    }

    private static Task TurnedAsync(IoThread thread)
    {
        var turned = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        thread.Post(turned.SetResult);
        return turned.Task;
    }
}
