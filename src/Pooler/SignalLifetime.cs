using Microsoft.Extensions.Hosting;

namespace Pooler;

/// <summary>The host leaves signals alone: <see cref="Signals"/> has them all, and says when it is over.</summary>
internal sealed class SignalLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
