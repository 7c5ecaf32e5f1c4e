namespace Pooler.Config;

/// <summary>
/// One host of a database entry: a name or an address with its TCP port, a socket directory (/…, @… for abstract), or "": the
/// socket in unix_socket_dir. The port is also in the name of a Unix socket.
/// </summary>
internal readonly record struct HostAddress(string Name, int Port)
{
    public bool IsUnixSocket => Name.Length == 0 || Name[0] is '/' or '@';

    // sun_path has 108 bytes, the last one 0; behind the directory comes /.s.PGSQL.65535 (unix(7)).
    private const int LongestDirectory = 92;

    /// <summary>Whether a directory or an abstract name leaves room for the name of a Unix socket.</summary>
    public static bool IsSocketDirectory(string name) => System.Text.Encoding.UTF8.GetByteCount(name) <= LongestDirectory && !name.Contains('\0');

    /// <summary>It has to be looked up.</summary>
    public bool IsName => !IsUnixSocket && !System.Net.IPAddress.TryParse(Name, out _);

    /// <summary>As in log lines: host:port, unix:port.</summary>
    public override string ToString() => IsUnixSocket ? $"unix:{Port}" : Name.Contains(':') ? $"[{Name}]:{Port}" : $"{Name}:{Port}";
}
