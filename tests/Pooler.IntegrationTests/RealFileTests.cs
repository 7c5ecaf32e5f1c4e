using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>
/// Files that run PgBouncer elsewhere (RealFiles/README.md): they start as they are, but for the folders and the port, which belong to
/// the test, and the certificates they name, which it makes.
/// </summary>
public sealed partial class RealFileTests
{
    private static string PathOf(string name) => Path.Combine(AppContext.BaseDirectory, "RealFiles", name);

    [Theory]
    [InlineData("debian.ini")]
    [InlineData("icoretech-chart.ini", "admin")]
    [InlineData("cradlepoint-chart.ini", "admin")]
    [InlineData("bitnami.ini", "postgres")]
    [InlineData("edoburu.ini", "admin")]
    [InlineData("gitlab-omnibus.ini", "postgres")]
    [InlineData("zalando.ini", "pooler")]
    [InlineData("cloudnative-pg.ini", "pgbouncer")]
    public async Task Starts(string name, string? admin = null)
    {
        using var folder = new RunFolder();
        int port = FreePort.Next();
        string file = await CopyAsync(folder, name, port);
        await File.WriteAllTextAsync(folder.PathOf(AuthFile().Match(await File.ReadAllTextAsync(file)).Groups[1].Value.Trim()), admin is null ? "" : $"\"{admin}\" \"secret\"\n");
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await process.SaysAsync("process up");
        Assert.DoesNotContain(process.Lines, line => line.Contains("WARNING", StringComparison.Ordinal) && !line.Contains(" is accepted but has no ", StringComparison.Ordinal));
        string user = admin ?? "nobody";
        Assert.Equal(name is "zalando.ini" or "cloudnative-pg.ini", await SpeaksTlsAsync(port));
        CommandLine.Result answer = await CommandLine.PsqlAsync($"host=127.0.0.1 port={port} dbname=pgbouncer user={user} password=secret", "SHOW VERSION");
        Assert.Equal(admin is null ? 2 : 0, answer.ExitCode);
        Assert.Contains(admin is null ? "password authentication failed" : "ooler", answer.Output + answer.Error, StringComparison.Ordinal);
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }

    private static async Task<bool> SpeaksTlsAsync(int port)
    {
        using PgWire wire = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, port));
        await wire.SendAsync(PgRequest.SslRequest);
        return await wire.ReadByteAsync() == 'S';
    }

    /// <summary>Debian's own, byte for byte, where the package puts it, as its unit starts it: as postgres, in a view of the file system of its own.</summary>
    [Fact]
    public async Task DebiansFileStartsInItsPlace()
    {
        OrdinaryUser.NeedsRoot();
        (string Here, string There)[] folders = [("etc", "/etc/pgbouncer"), ("log", "/var/log/postgresql"), ("run", "/var/run/postgresql")];
        Assert.SkipUnless(folders.All(static f => Directory.Exists(f.There)), "needs Debian's folders: /etc/pgbouncer, /var/log/postgresql, /var/run/postgresql");
        CommandLine.Result able = await CommandLine.RunAsync("unshare", ["--mount", "--net", "ip", "link", "set", "lo", "up"]);
        Assert.SkipUnless(able.ExitCode == 0, $"needs name spaces: {able.Error}");

        using var folder = new RunFolder();
        string user = OrdinaryUser.Name!, binary = PoolerProcess.RunnableBinary(folder.Path);
        string mounts = "";
        foreach ((string here, string there) in folders)
        {
            Directory.CreateDirectory(folder.PathOf(here));
            await CommandLine.RunAsync("chown", [$"{user}:", folder.PathOf(here)]);
            mounts += $"mount --bind {folder.PathOf(here)} {there} && ";
        }

        File.Copy(PathOf("debian.ini"), folder.PathOf("etc/pgbouncer.ini"));
        await File.WriteAllTextAsync(folder.PathOf("etc/userlist.txt"), "");

        // As in many containers: localhost is IPv6, too, and there is none.
        await File.WriteAllTextAsync(folder.PathOf("hosts"), "::1 localhost\n127.0.0.1 localhost\n");
        mounts += $"mount --bind {folder.PathOf("hosts")} /etc/hosts && ";
        const string noIPv6 = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true";
        await using ChildProcess process = ChildProcess.StartAsWeAre(folder.Path, "unshare", "--mount", "--net", "sh", "-c",
            $"ip link set lo up && ({noIPv6}) && {mounts} exec setpriv --reuid={user} --regid={OrdinaryUser.GroupOf(user)} --clear-groups -- {binary} /etc/pgbouncer/pgbouncer.ini");
        await process.SaysAsync("process up");
        Assert.Equal($"{process.Id}", (await File.ReadAllTextAsync(folder.PathOf("run/pgbouncer.pid"))).Trim());
        Assert.Contains("listening on 127.0.0.1:6432", await File.ReadAllTextAsync(folder.PathOf("log/pgbouncer.log")), StringComparison.Ordinal);
        CommandLine.Result stranger = await CommandLine.PsqlAsync($"host={folder.PathOf("run")} port=6432 dbname=pgbouncer user=somebody password=secret", "SHOW VERSION");
        Assert.Contains("password authentication failed", stranger.Error, StringComparison.Ordinal);

        process.Send(ChildProcess.Signal.Hup);
        await process.SaysAsync("got SIGHUP");
        process.Send(ChildProcess.Signal.Int); // KillSignal of the unit.
        await process.AssertEndAsync(0, "exiting");
        Assert.Empty(Directory.GetFiles(folder.PathOf("run")));
    }

    /// <summary>A copy whose absolute folders lie in the test's, and which listens on the test's port.</summary>
    private static async Task<string> CopyAsync(RunFolder folder, string name, int port)
    {
        string text = Rooted().Replace(await File.ReadAllTextAsync(PathOf(name)), match => match.Groups[1].Value + folder.Path + match.Groups[2].Value);
        text = Port().Replace(text, $"${{1}}{port}");
        text = User().Replace(text, $"${{1}}{OrdinaryUser.Name ?? Environment.UserName}"); // In its container it runs as that user already.
        string file = folder.PathOf(name);
        await File.WriteAllTextAsync(file, text);
        using Certificates made = await Certificates.CreateAsync();
        (string certificate, string key) = await made.SignServerAsync();
        foreach (Match path in AnyPath().Matches(text))
        {
            string whole = Path.Combine(folder.Path, path.Groups[2].Value.Trim());
            bool isFolder = path.Groups[1].Value == "unix_socket_dir";
            Directory.CreateDirectory(isFolder ? whole : Path.GetDirectoryName(whole)!);
            if (path.Groups[1].Value.Contains("_tls_", StringComparison.Ordinal))
                File.Copy(path.Groups[1].Value.EndsWith("key_file", StringComparison.Ordinal) ? key : path.Groups[1].Value.EndsWith("ca_file", StringComparison.Ordinal) ? made.Authority : certificate, whole, overwrite: true);
            if (path.Groups[1].Value == "auth_hba_file")
                File.Copy(PathOf($"{Path.GetFileNameWithoutExtension(name)}-hba.conf"), whole);
            if (path.Groups[1].Value is "auth_file" or "%include")
                await File.WriteAllTextAsync(whole, path.Groups[1].Value == "%include" ? await File.ReadAllTextAsync(PathOf($"{Path.GetFileNameWithoutExtension(name)}-databases.ini")) : "");
        }

        foreach (string path in Directory.GetFileSystemEntries(folder.Path, "*", SearchOption.AllDirectories))
            File.SetUnixFileMode(path, (UnixFileMode)0b111_111_111);
        return file;
    }

    [GeneratedRegex(@"^((?:\w+ *= *|%include +))(/[^ \n]*)", RegexOptions.Multiline)]
    private static partial Regex Rooted();

    [GeneratedRegex(@"^auth_file *= *(.*)$", RegexOptions.Multiline)]
    private static partial Regex AuthFile();

    [GeneratedRegex(@"^(user *= *)\w+$", RegexOptions.Multiline)]
    private static partial Regex User();

    [GeneratedRegex(@"^(listen_port *= *)\d+", RegexOptions.Multiline)]
    private static partial Regex Port();

    [GeneratedRegex(@"^(auth_file|auth_hba_file|logfile|pidfile|unix_socket_dir|%include|(?:client|server)_tls_(?:ca|cert|key)_file) *=? *([^\s]+) *$", RegexOptions.Multiline)]
    private static partial Regex AnyPath();
}
