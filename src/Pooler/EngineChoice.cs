using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler;

/// <summary>Which engine the I/O threads run on (io_engine), and one log line that says why.</summary>
internal static class EngineChoice
{
    public static Func<Engine> For(PoolerConfig config, ILogger log)
    {
        IoEngine wanted = config.Get(Settings.IoEngine);
        if (wanted == IoEngine.Epoll)
        {
            log.Note("io_engine: epoll, as configured");
            return static () => new EpollEngine();
        }

        if (UringEngine.IsAvailable(out int error))
        {
            log.Note(wanted == IoEngine.Auto ? "io_engine: io_uring, which kernel and sandbox allow" : "io_engine: io_uring, as configured");
            return static () => UringEngine.Create(out int error) ?? throw new IOException("io_uring_setup: " + Syscalls.ErrorText(error));
        }

        if (wanted == IoEngine.Uring)
        {
            throw new StartException(
                $"io_engine = io_uring is refused here: {Syscalls.ErrorText(error)} (Linux 6.1 is needed, and containers' default seccomp profiles forbid it); use io_engine = auto or epoll");
        }

        string reason = $"io_engine: epoll, because io_uring is refused here: {Syscalls.ErrorText(error)}";
        log.Note(reason);
        return static () => new EpollEngine();
    }
}
