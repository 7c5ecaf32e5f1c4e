using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests;

/// <summary>What stops a start says so in one message and ends with status 1; and the start as another user.</summary>
public sealed class StartErrorTests
{
    private const string NoSuchId = "4194305";

    [Theory]
    [InlineData("listen_port = 70000", "pooler.ini:{line}: listen_port = \"70000\" is not valid: a whole number from 1 to 65535")]
    [InlineData("listen_addr = no-such-host.invalid", "listen_addr = no-such-host.invalid: ")]
    [InlineData("listen_addr = 192.0.2.1", "cannot listen on 192.0.2.1:{port}: Cannot assign requested address")]
    [InlineData("auth_file = {folder}/none.txt", "pooler.ini:{line}: auth_file: could not read \"{folder}/none.txt\": there is no such file")]
    [InlineData("%include {folder}/none.ini", "pooler.ini:{line}: %include could not read \"{folder}/none.ini\": there is no such file")]
    [InlineData("%include {folder}", "pooler.ini:{line}: %include could not read \"{folder}\": it is a directory, or this process may not read it")]
    [InlineData("unix_socket_dir = {folder}/none", "cannot listen on {folder}/none/.s.PGSQL.{port}: No such file or directory")]
    [InlineData("unix_socket_group = no-such-group", "unix_socket_group = no-such-group: there is no such group in /etc/group")]
    [InlineData("pidfile = {folder}/none/pooler.pid", "pidfile {folder}/none/pooler.pid cannot be written: ")]
    [InlineData("logfile = {folder}/none/pooler.log", "logfile: ")]
    [InlineData("user = no-such-user", "user = no-such-user: there is no such user in /etc/passwd")]
    [InlineData("user = root", "user = root: cannot change to it: Operation not permitted; start as root, or as that user, or leave it out")]
    [InlineData("client_tls_sslmode = require", "pooler.ini:{line}: client_tls_sslmode: TLS with clients needs client_tls_cert_file and client_tls_key_file")]
    public async Task OneMessageAndStatusOne(string line, string message)
    {
        using var folder = new RunFolder();
        (string file, int port) = folder.Write("none", 1);
        string[] lines = [.. await File.ReadAllLinesAsync(file), line.Replace("{folder}", folder.Path, StringComparison.Ordinal)];
        await File.WriteAllLinesAsync(file, lines);
        string expected = message.Replace("{folder}", folder.Path, StringComparison.Ordinal).Replace("{line}", $"{lines.Length}", StringComparison.Ordinal)
            .Replace("{port}", $"{port}", StringComparison.Ordinal);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await process.AssertEndAsync(1, expected);
        Assert.Single(process.Lines, said => said.Contains(expected, StringComparison.Ordinal));
        Assert.DoesNotContain(process.Lines, static said => said.Contains("   at ", StringComparison.Ordinal) || said.Contains("process up", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AFileThatMayNotBeRead()
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1);
        File.SetUnixFileMode(folder.PathOf("userlist.txt"), UnixFileMode.None);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        if (OrdinaryUser.Name is null && Environment.UserName == "root")
            Assert.Skip("root may read everything");
        await process.AssertEndAsync(1, $"auth_file: could not read \"{folder.PathOf("userlist.txt")}\": it is a directory, or this process may not read it");
    }

    [Fact]
    public async Task APortInUse()
    {
        using var folder = new RunFolder();
        (string file, int port) = folder.Write("none", 1);
        using var other = new TcpListener(IPAddress.Loopback, port);
        other.Start();
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await process.AssertEndAsync(1, $"cannot listen on 127.0.0.1:{port}: Address already in use");
        Assert.False(File.Exists(folder.PidFile));
    }

    /// <summary>The socket file of a process that died is taken over, and so is its pidfile; those of a living one stop the start.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ASocketFileAndAPidFileThatAreLeftBehind(bool isAlive)
    {
        using var folder = new RunFolder();
        (string file, int port) = folder.Write("none", 1);
        string path = folder.PathOf($".s.PGSQL.{port}");
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(path));
        if (isAlive)
            other.Listen();
        else
            other.Close();
        if (!File.Exists(path))
            await File.WriteAllTextAsync(path, ""); // .NET takes the file away with the socket; who is killed does not.
        File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
        await File.WriteAllTextAsync(folder.PidFile, NoSuchId);
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        if (isAlive)
        {
            await process.AssertEndAsync(1, $"cannot listen on {path}: another process answers there; choose another listen_port or unix_socket_dir");
            return;
        }

        await process.SaysAsync("process up");
        Assert.Contains("stale pidfile, removing", process.Log, StringComparison.Ordinal);
        Assert.Equal($"{process.Id}", (await File.ReadAllTextAsync(folder.PidFile)).Trim());
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }

    /// <summary>Started as root it becomes that user for good, with its groups, before it writes a file or listens; -u beats the setting.</summary>
    [Theory]
    [InlineData("setting")]
    [InlineData("-u")]
    [InlineData("--user=")]
    public async Task RootBecomesTheUser(string how)
    {
        OrdinaryUser.NeedsRoot();
        using var folder = new RunFolder();
        string user = OrdinaryUser.Name!;
        (string file, int port) = folder.Write("none", 1, more: how == "setting" ? $"user = {user}\n" : "user = nobody\n");
        string[] words = how switch { "-u" => ["-u", user], "--user=" => [$"--user={user}"], _ => [] };
        await using ChildProcess process = ChildProcess.StartAsWeAre(folder.Path, [PoolerProcess.RunnableBinary(folder.Path), .. words, file]);
        await process.SaysAsync("process up");
        string[] status = await File.ReadAllLinesAsync($"/proc/{process.Id}/status");
        string id = (await CommandLine.RunAsync("id", ["-u", user])).Output, group = OrdinaryUser.GroupOf(user);
        string groups = string.Join(' ', (await CommandLine.RunAsync("id", ["-G", user])).Output.Split(' ').Order(StringComparer.Ordinal));
        Assert.Equal(Enumerable.Repeat(id, 4), Fields(status, "Uid:"));
        Assert.Equal(Enumerable.Repeat(group, 4), Fields(status, "Gid:"));
        Assert.Equal(groups, string.Join(' ', Fields(status, "Groups:").Order(StringComparer.Ordinal)));
        foreach (string path in (string[])[folder.PidFile, folder.LogFile, folder.PathOf($".s.PGSQL.{port}")])
            Assert.Equal(user, (await CommandLine.RunAsync("stat", ["-c", "%U", path])).Output);
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }

    /// <summary>Not as PgBouncer, which refuses to run as root: containers do so. And unix_socket_group, which an ordinary user can only choose among its own.</summary>
    [Fact]
    public async Task RootStaysRootWithoutAUser()
    {
        OrdinaryUser.NeedsRoot();
        using var folder = new RunFolder();
        (string file, int port) = folder.Write("none", 1, more: "unix_socket_group = daemon\nunix_socket_mode = 0770\n");
        await using ChildProcess process = ChildProcess.StartAsWeAre(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await process.SaysAsync("process up");
        Assert.Equal("root daemon 770", (await CommandLine.RunAsync("stat", ["-c", "%U %G %a", folder.PathOf($".s.PGSQL.{port}")])).Output);
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }

    [Fact]
    public async Task TheSocketsGroupMustBeOneOfOurs()
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1, more: "unix_socket_group = 1\n");
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await process.AssertEndAsync(1, "to it: Operation not permitted; the user we run as must be in that group");
    }

    private static string[] Fields(string[] status, string name) =>
        status.First(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..].Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
}
