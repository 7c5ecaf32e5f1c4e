using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.LoadGenerator;

/// <summary>Where the load goes, and who logs in there.</summary>
internal sealed class LoadTarget
{
    // As libpq does: no keepalive of a lesser interval than the kernel's, no delay.
    private static readonly SocketOptions Tcp = new(KeepAlive: false, 0, 0, 0, 0, 0);

    private readonly SocketAddress _address;
    private readonly bool _isUnix;

    public LoadTarget(Options options)
    {
        string host = options.Text("host", "127.0.0.1");
        int port = options.Number("port", 5432);
        string user = options.Text("user", "postgres");
        _isUnix = host.StartsWith('/');
        EndPoint endpoint = _isUnix
            ? new UnixDomainSocketEndPoint(Path.Combine(host, $".s.PGSQL.{port}"))
            : new IPEndPoint(IPAddress.TryParse(host, out IPAddress? ip) ? ip : throw new LoadException($"--host {host}: an IP address or a folder"), port);
        _address = endpoint.Serialize();
        Name = endpoint.ToString()!;
        LoginLimit = options.Seconds("limit-seconds", 60);
        Password = options.Text("password", "");
        UsesTls = options.Number("tls", 0) > 0;
        ParallelLogins = options.Number("parallel", 32);

        var startup = new ArrayBufferWriter<byte>();
        new MessageWriter(startup).WriteStartup(
            0x30000, new StartupParameter("user", user), new StartupParameter("database", options.Text("database", "postgres")));
        Startup = startup.WrittenSpan.ToArray();
    }

    public string Name { get; }

    public byte[] Startup { get; }

    /// <summary>For SCRAM; empty: the server must trust us.</summary>
    public string Password { get; }

    public bool UsesTls { get; }

    /// <summary>Nanoseconds that logins, and answers outstanding at the end, may take.</summary>
    public long LoginLimit { get; }

    public int ParallelLogins { get; }

    /// <summary>Starts to connect; returns the descriptor or the negative errno.</summary>
    public int Connect()
    {
        int fd = Syscalls.Socket(_isUnix ? Syscalls.AF_UNIX : _address.Family == AddressFamily.InterNetworkV6 ? Syscalls.AF_INET6 : Syscalls.AF_INET);
        if (fd < 0)
        {
            return fd;
        }

        Tcp.Apply(fd, _isUnix);
        int result = Syscalls.Connect(fd, _address);
        if (result < 0 && result != -Syscalls.EINPROGRESS)
        {
            Syscalls.Close(fd);
            return result;
        }

        return fd;
    }
}
