namespace Pooler.Config;

/// <summary>The system interface the I/O threads wait with (<c>io_engine</c>).</summary>
internal enum IoEngine
{
    /// <summary>The best one this machine allows.</summary>
    Auto,

    /// <summary>epoll.</summary>
    Epoll,

    /// <summary>io_uring: Linux 6.1 or newer, where the container's seccomp profile allows it.</summary>
    Uring,
}
