using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests;

/// <summary>Where clients come from: Unix sockets with and without a file, IPv6, and what the kernel is told of their sockets.</summary>
public sealed class NetworkTests(PostgresCluster postgres)
{
    /// <summary>unix_socket_dir = @name: no file, and the name is free again with the end of the process.</summary>
    [Fact]
    public async Task AnAbstractSocketHasNoFile()
    {
        string database = await postgres.CreateDatabaseAsync(), name = $"@pooler-test-{Guid.NewGuid():N}";
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Settings["unix_socket_dir"] = name);
        var endPoint = new UnixDomainSocketEndPoint($"\0{name[1..]}/.s.PGSQL.{pooler.Port}");
        await pooler.SeesInLogAsync($"listening on unix:{name}/.s.PGSQL.{pooler.Port}");
        using PgWire client = await PgWire.ConnectAsync(endPoint);
        await client.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("unix", (await pooler.ConsoleAsync("SHOW CLIENTS")).Single(row => row["database"] == database)["addr"]);
        Assert.Empty(Directory.GetFiles(pooler.Folder, ".s.PGSQL.*"));

        // libpq knows it by the same name, and so does a pooler whose server it is.
        CommandLine.Result psql = await CommandLine.PsqlAsync($"host={name} port={pooler.Port} dbname={database} user={PostgresCluster.User}", "SELECT 2");
        Assert.True(psql.Output == "2", $"{psql}\n{pooler.Log}");
        var ini = new PoolerIni();
        ini.Databases[database] = $"host={name} port={pooler.Port}";
        await using PoolerProcess before = await PoolerProcess.StartAsync(ini);
        using PgWire through = await before.LoginAsync(database);
        Assert.Equal("3", (await through.QueryAsync("SELECT 3")).Scalar);

        await pooler.StopAsync();
        using var again = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        again.Bind(endPoint);
    }

    [Theory]
    [InlineData(null, "777")]
    [InlineData("0700", "700")]
    [InlineData("0660", "660")]
    public async Task TheSocketsFileHasItsMode(string? mode, string shown)
    {
        var ini = new PoolerIni();
        if (mode is not null)
            ini.Settings["unix_socket_mode"] = mode;
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        await pooler.SeesInLogAsync("process up");
        Assert.Equal(shown, (await CommandLine.RunAsync("stat", ["-c", "%a", ((UnixDomainSocketEndPoint)pooler.UnixEndPoint).ToString()])).Output);
    }

    [Fact]
    public async Task IPv6AloneIsListenedOn()
    {
        NeedsIPv6();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["listen_addr"] = "127.0.0.1,::1");
        await pooler.SeesInLogAsync($"listening on [::1]:{pooler.Port}");
        using PgWire client = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.IPv6Loopback, pooler.Port));
        await client.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("::1", (await pooler.ConsoleAsync("SHOW CLIENTS")).Single(row => row["database"] == database)["addr"]);
        await pooler.SeesInLogAsync($"@[::1]:{((IPEndPoint)client.LocalEndPoint).Port} login attempt");
    }

    /// <summary>listen_addr = *: both families, and each client goes by the rules for its own.</summary>
    [Fact]
    public async Task AllAddressesAreThoseOfBothFamilies()
    {
        NeedsIPv6();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["listen_addr"] = "*";
            ini.Settings["auth_type"] = "hba";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Files["hba"] = $"""
                host all {PostgresCluster.User} 127.0.0.0/8 trust
                host all {PostgresCluster.ScramUser} ::1/128 trust
                host all {PostgresCluster.Md5User} ::/0 trust
                host all all 0.0.0.0/0 reject
                """;
        });
        var six = new IPEndPoint(IPAddress.IPv6Loopback, pooler.Port);
        Assert.Equal(("", "28000"), (await TryAsync(pooler.EndPoint, PostgresCluster.User, database), await TryAsync(six, PostgresCluster.User, database)));
        Assert.Equal(("28000", ""), (await TryAsync(pooler.EndPoint, PostgresCluster.ScramUser, database), await TryAsync(six, PostgresCluster.ScramUser, database)));
        Assert.Equal(("28000", ""), (await TryAsync(pooler.EndPoint, PostgresCluster.Md5User, database), await TryAsync(six, PostgresCluster.Md5User, database)));
    }

    /// <summary>A socket of systemd may take both families: over it IPv4 looks like IPv6 (::ffff:127.0.0.1), and is IPv4 to the rules, the log and the console.</summary>
    [Fact]
    public async Task MappedAddressesAreThoseOfIPv4()
    {
        NeedsIPv6();
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        await File.WriteAllTextAsync(folder.PathOf("hba"), "host all all ::/0 reject\nhost all all 127.0.0.1/32 trust\n");
        (string file, _) = folder.Write(database, postgres.Port, more: $"auth_type = hba\nauth_hba_file = {folder.PathOf("hba")}\n");
        int port = FreePort.Next();
        const string script = """
            use Socket qw(:all);
            socket(S, PF_INET6, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt(S, IPPROTO_IPV6, IPV6_V6ONLY, 0);
            bind(S, pack_sockaddr_in6($ARGV[0], inet_pton(AF_INET6, "::"))) or die; listen(S, 16);
            use POSIX (); POSIX::dup2(fileno(S), 3); $^F = 3; open(K, "<&=", 3); fcntl(K, 2, 0);
            $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; shift @ARGV; exec(@ARGV);
            """;
        await using ChildProcess process = ChildProcess.Start(
            folder.Path, "perl", "-e", script, $"{port}", PoolerProcess.RunnableBinary(folder.Path), file);
        await Eventually.BecomesAsync("it is up", () => Task.FromResult(process.Log), static log => log.Contains("process up", StringComparison.Ordinal));
        using PgWire four = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        await four.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await four.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("28000", await TryAsync(new IPEndPoint(IPAddress.IPv6Loopback, port), PostgresCluster.User, database));
        Assert.Contains($"@127.0.0.1:{((IPEndPoint)four.LocalEndPoint).Port} ", process.Log, StringComparison.Ordinal);
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }

    /// <summary>tcp_keepalive and its like, read back from the process's own sockets.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TheKernelWatchesOverClientsAndServers(bool isOn)
    {
        const int socketLevel = 1, keepAlive = 9, noDelay = 1, keepIdle = 4, keepInterval = 5, keepCount = 6, userTimeout = 18, tcp = 6;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["tcp_keepalive"] = isOn ? "1" : "0";
            ini.Settings["tcp_keepidle"] = "77";
            ini.Settings["tcp_keepintvl"] = "11";
            ini.Settings["tcp_keepcnt"] = "5";
            ini.Settings["tcp_user_timeout"] = "12345";
        });
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        using var sockets = new ForeignSockets(pooler.Id);
        foreach (int fd in (int[])[sockets.To(((IPEndPoint)client.LocalEndPoint).Port), sockets.To(postgres.Port)])
        {
            Assert.Equal(isOn ? 1 : 0, ForeignSockets.Option(fd, socketLevel, keepAlive));
            Assert.Equal((1, 12345), (ForeignSockets.Option(fd, tcp, noDelay), ForeignSockets.Option(fd, tcp, userTimeout)));
            if (isOn)
                Assert.Equal((77, 11, 5), (ForeignSockets.Option(fd, tcp, keepIdle), ForeignSockets.Option(fd, tcp, keepInterval), ForeignSockets.Option(fd, tcp, keepCount)));
        }
    }

    private static void NeedsIPv6()
    {
        try
        {
            using var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
        }
        catch (SocketException e)
        {
            Assert.Skip($"this machine has no ::1: {e.Message}");
        }
    }

    /// <summary>"" when it gets in, else the SQLSTATE.</summary>
    private static async Task<string> TryAsync(EndPoint endPoint, string user, string database)
    {
        using PgWire wire = await PgWire.ConnectAsync(endPoint);
        return (await wire.StartAsync(("user", user), ("database", database))).Error?.SqlState ?? "";
    }
}
