namespace Pooler.Config;

/// <summary>
/// One host of a database entry: a name or an address with its TCP port, a socket directory (/…, @… for abstract), or "": the
/// socket in unix_socket_dir. The port is also in the name of a Unix socket.
/// </summary>
internal readonly record struct HostAddress(string Name, int Port)
{
    public bool IsUnixSocket => Name.Length == 0 || Name[0] is '/' or '@';

    /// <summary>It has to be looked up.</summary>
    public bool IsName => !IsUnixSocket && !System.Net.IPAddress.TryParse(Name, out _);

    /// <summary>As in log lines: host:port, unix:port.</summary>
    public override string ToString() => IsUnixSocket ? $"unix:{Port}" : Name.Contains(':') ? $"[{Name}]:{Port}" : $"{Name}:{Port}";
}
