using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>The command line, the pidfile, and what systemd hands over and is told.</summary>
public sealed class CommandLineTests(PostgresCluster postgres)
{
    [Theory]
    [InlineData("-V", 0, "pooler ")]
    [InlineData("--help", 0, "--daemon")]
    [InlineData("-R", 1, "so_reuseport")]
    [InlineData("-vR", 1, "so_reuseport")]
    [InlineData("-x", 1, "unknown option -x")]
    [InlineData("--user", 1, "--user needs a name")]
    [InlineData("--probe=readyz", 1, "does not answer")]
    [InlineData("no-such-file.ini", 1, "no-such-file.ini")]
    public async Task OneClearMessageAndItsStatus(string word, int status, string text)
    {
        using var folder = new RunFolder();
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), word);
        await process.AssertEndAsync(status, text);
    }

    [Fact]
    public async Task WithoutAFileTheEnvironmentNamesADatabase()
    {
        using var folder = new RunFolder();
        await using ChildProcess process = ChildProcess.Start(folder.Path, "env", "-i", PoolerProcess.RunnableBinary(folder.Path));
        await process.AssertEndAsync(1, "environment: there is no database: name a configuration file, or set POOLER_DATABASES__name");
    }

    [Fact]
    public async Task ADaemonIsUpWhenItsParentEndsAndLeavesNothingBehind()
    {
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        (string file, int port) = folder.Write(database, postgres.Port);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), "-d", file);
        await process.AssertEndAsync(0, "process up");
        int id = int.Parse(File.ReadAllText(folder.PidFile));
        try
        {
            using PgWire client = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
            await client.LoginAsync(database, PostgresCluster.User);
            Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);

            // Fields behind the name in brackets: state, parent, process group, session.
            string[] stat = File.ReadAllText($"/proc/{id}/stat").Split(')')[1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal($"{id}", stat[3]);
            Assert.Contains("listening on 127.0.0.1", await File.ReadAllTextAsync(folder.LogFile), StringComparison.Ordinal);
            Assert.Equal("/dev/null", File.ResolveLinkTarget($"/proc/{id}/fd/2", returnFinalTarget: false)!.FullName);
        }
        finally
        {
            Assert.Equal(0, NativeMethods.Kill(id, (int)ChildProcess.Signal.Quit));
        }

        await Eventually.EqualsAsync("the pidfile is gone", false, () => Task.FromResult(File.Exists(folder.PidFile)));
    }

    [Fact]
    public async Task ADaemonNeedsAPidFile()
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1, pidFile: false);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), "-d", file);
        await process.AssertEndAsync(1, "-d needs a pidfile");
    }

    /// <summary>A log that was rotated away is let go at the next RELOAD; what cannot be opened refuses the start.</summary>
    [Fact]
    public async Task TheLogFileIsOpenedAnewByAReload()
    {
        using var folder = new RunFolder();
        (string file, int port) = folder.Write("none", 1);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), "-q", file);
        await Eventually.EqualsAsync("it is up", true, () => Task.FromResult(File.Exists(folder.PidFile)));
        string old = folder.LogFile + ".1";
        File.Move(folder.LogFile, old);
        using PgWire console = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        await console.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
        await console.QueryAsync("PAUSE nobody");
        await Eventually.EqualsAsync("it writes to the new file", true, async () => (await File.ReadAllTextAsync(folder.LogFile)).Contains("PAUSE 'nobody'", StringComparison.Ordinal));
        Assert.DoesNotContain("PAUSE", await File.ReadAllTextAsync(old), StringComparison.Ordinal);

        File.AppendAllText(file, "logfile = /nowhere/pooler.log\n");
        await using ChildProcess refused = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), "--check", file);
        await refused.AssertEndAsync(0, "valid");
        File.Delete(folder.PidFile);
        await using ChildProcess second = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await second.AssertEndAsync(1, "logfile: ");
    }

    [Theory]
    [InlineData("1\n", "process 1 is running")]
    [InlineData("", "holds no process id")]
    public async Task ALivePidFileRefusesTheStart(string content, string text)
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1);
        File.WriteAllText(folder.PidFile, content);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), "-q", file);
        await process.AssertEndAsync(1, text);
        Assert.Equal(content, File.ReadAllText(folder.PidFile));
    }

    [Fact]
    public async Task SystemdIsTold()
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1);
        string path = Path.Combine(folder.Path, "notify");
        using var notify = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = (int)Patience.Default.TotalMilliseconds };
        notify.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
        await File.WriteAllTextAsync(folder.PidFile, "4194305"); // No process has that id: the file is stale.
        await using ChildProcess process = ChildProcess.Start(
            folder.Path, "env", $"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=100000", PoolerProcess.RunnableBinary(folder.Path), file);
        Assert.Equal("READY=1", Next(notify, "READY"));
        Assert.Equal("WATCHDOG=1", Next(notify, "WATCHDOG"));
        Assert.Equal("WATCHDOG=1", Next(notify, "WATCHDOG"));
        Assert.Equal($"{process.Id}", (await File.ReadAllTextAsync(folder.PidFile)).Trim());
        process.Send(ChildProcess.Signal.Hup);
        Assert.Matches("^RELOADING=1\nMONOTONIC_USEC=[0-9]+$", Next(notify, "RELOADING"));
        Assert.Equal("READY=1", Next(notify, "READY"));
        process.Send(ChildProcess.Signal.Term);
        Assert.Equal("STOPPING=1", Next(notify, "STOPPING"));
        await process.AssertEndAsync(0, "client connections dropped, exiting");
        Assert.False(File.Exists(folder.PidFile));
    }

    [Fact]
    public async Task ASocketOfSystemdIsListenedOn()
    {
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        (string file, _) = folder.Write(database, postgres.Port);
        int port = FreePort.Next();

        // What systemd does: the descriptor is number 3, the process id its own.
        const string script = """
            use Socket;
            socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
            bind(S, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die; listen(S, 16);
            use POSIX (); POSIX::dup2(fileno(S), 3); $^F = 3; open(K, "<&=", 3); fcntl(K, 2, 0);
            $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; shift @ARGV; exec(@ARGV);
            """;
        await using ChildProcess process = ChildProcess.Start(
            folder.Path, "perl", "-e", script, $"{port}", PoolerProcess.RunnableBinary(folder.Path), file);
        await Eventually.BecomesAsync("it is up", () => Task.FromResult(process.Log), static log => log.Contains("process up", StringComparison.Ordinal));
        using PgWire client = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        await client.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Contains($"listening on 127.0.0.1:{port}", process.Log, StringComparison.Ordinal);
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }

    /// <summary>As under a socket unit, by systemd's own program: it listens, and starts us at the first connection.</summary>
    [Theory]
    [InlineData("notify")]
    [InlineData("@notify-{0}")]
    public async Task SystemdSocketActivateStartsIt(string notifySocket)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/systemd-socket-activate"), "needs Debian's package systemd");
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        (string file, _) = folder.Write(database, postgres.Port);
        int port = FreePort.Next();
        string path = notifySocket == "notify" ? folder.PathOf("notify") : string.Format(System.Globalization.CultureInfo.InvariantCulture, notifySocket, port);
        using var notify = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = (int)Patience.Default.TotalMilliseconds };
        notify.Bind(new UnixDomainSocketEndPoint(path[0] == '@' ? $"\0{path[1..]}" : path));
        if (path[0] != '@')
            File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
        await using ChildProcess process = ChildProcess.Start(
            folder.Path, "systemd-socket-activate", "-l", $"127.0.0.1:{port}", "-l", folder.PathOf("sock"), "-E", $"NOTIFY_SOCKET={path}", "-E", "WATCHDOG_USEC=200000",
            PoolerProcess.RunnableBinary(folder.Path), file);
        await process.SaysAsync("Listening on");
        await Eventually.EqualsAsync("both sockets are there", true, () => Task.FromResult(File.Exists(folder.PathOf("sock"))));

        // Nobody runs until somebody comes, and whoever came first is served.
        Assert.DoesNotContain("process up", process.Log, StringComparison.Ordinal);
        using PgWire client = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        await client.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("READY=1", Next(notify, "READY"));
        using (PgWire local = await PgWire.ConnectAsync(new UnixDomainSocketEndPoint(folder.PathOf("sock"))))
        {
            await local.LoginAsync(database, PostgresCluster.User);
            Assert.Equal("2", (await local.QueryAsync("SELECT 2")).Scalar);
        }

        Assert.Equal("WATCHDOG=1", Next(notify, "WATCHDOG"));
        Assert.Equal("WATCHDOG=1", Next(notify, "WATCHDOG"));
        process.Send(ChildProcess.Signal.Hup);
        Assert.Matches("^RELOADING=1\nMONOTONIC_USEC=[0-9]+$", Next(notify, "RELOADING"));
        Assert.Equal("READY=1", Next(notify, "READY"));
        Assert.Equal("3", (await client.QueryAsync("SELECT 3")).Scalar);

        // Its own addresses are not listened on: systemd's stand in their place.
        Assert.DoesNotContain(folder.PathOf(".s.PGSQL"), process.Log, StringComparison.Ordinal);
        process.Send(ChildProcess.Signal.Term);
        Assert.Equal("STOPPING=1", Next(notify, "STOPPING"));
        client.Dispose();
        await process.AssertEndAsync(0, "client connections dropped, exiting");
    }

    /// <summary>It is systemd's, and the next process gets it with all who have connected meanwhile.</summary>
    [Fact]
    public async Task ASocketOfSystemdIsLeftAsItWas()
    {
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        (string file, _) = folder.Write(database, postgres.Port, more: "so_reuseport = 1\n");
        int port = FreePort.Next();
        const string script = """
            use Socket;
            socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
            bind(S, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die; listen(S, 16);
            use POSIX (); POSIX::dup2(fileno(S), 3); $^F = 3; open(K, "<&=", 3); fcntl(K, 2, 0);
            if (fork == 0) { $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; shift @ARGV; exec(@ARGV); }
            wait; print "ended $?\n"; $| = 1; print "\n"; sleep;
            """;
        await using ChildProcess holder = ChildProcess.Start(
            folder.Path, "perl", "-e", script, $"{port}", PoolerProcess.RunnableBinary(folder.Path), file);
        string log = await Eventually.BecomesAsync("it is up", () => Task.FromResult(holder.Log), static log => log.Contains("process up", StringComparison.Ordinal));
        int pooler = int.Parse(log[(log.IndexOf(", pid ", StringComparison.Ordinal) + 6)..].Split('\n')[0], System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(0, NativeMethods.Kill(pooler, (int)ChildProcess.Signal.Term));
        await Eventually.BecomesAsync("it has ended", () => Task.FromResult(holder.Log), static log => log.Contains("ended 0", StringComparison.Ordinal));
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port).WaitAsync(Patience.Default);
    }

    [Fact]
    public async Task ARollingRestartWithSoReuseportFailsNoClient()
    {
        string database = await postgres.CreateDatabaseAsync();
        PoolerProcess first = await PoolerProcess.StartAsync(postgres, database, adjust: static ini => ini.Settings["so_reuseport"] = "1");
        using PgWire old = await first.LoginAsync(database);
        using var folder = new RunFolder();
        (string file, _) = folder.Write(database, postgres.Port, port: first.Port, more: "so_reuseport = 1\n");
        await using ChildProcess second = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await Eventually.BecomesAsync("it is up", () => Task.FromResult(second.Log), static log => log.Contains("process up", StringComparison.Ordinal));
        first.Send(ChildProcess.Signal.Term);
        await Eventually.BecomesAsync("it stops", () => Task.FromResult(first.Log), static log => log.Contains("shutting down", StringComparison.Ordinal));
        using PgWire client = await first.LoginAsync(database);
        Assert.Equal("1", (await client.QueryAsync("SELECT 1")).Scalar);
        Assert.Equal("2", (await old.QueryAsync("SELECT 2")).Scalar);
        old.Dispose();
        Assert.True(await first.WaitForExitAsync(Patience.Default), first.Log);
        Assert.Equal("3", (await client.QueryAsync("SELECT 3")).Scalar);
        await first.EndAsync();
        second.Send(ChildProcess.Signal.Quit);
        await second.AssertEndAsync(0, "fast exit");
    }

    private static string Next(Socket notify, string word)
    {
        byte[] buffer = new byte[200];
        while (true)
        {
            string text = Encoding.UTF8.GetString(buffer, 0, notify.Receive(buffer));
            if (text.StartsWith(word, StringComparison.Ordinal))
                return text;
        }
    }
}
