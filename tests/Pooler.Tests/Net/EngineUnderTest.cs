using Pooler.Net;

namespace Pooler.Tests.Net;

/// <summary>The engine these tests run on: epoll, or what POOLER_IO_ENGINE says, so that one suite proves both.</summary>
internal static class EngineUnderTest
{
    public static Engine Create() => Environment.GetEnvironmentVariable("POOLER_IO_ENGINE") == "io_uring"
        ? UringEngine.Create(out int error) ?? throw new InvalidOperationException($"io_uring is refused here: errno {error}")
        : new EpollEngine();
}
