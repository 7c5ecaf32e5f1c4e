using System.Globalization;
using System.Net;

namespace Pooler.IntegrationTests;

/// <summary>
/// The image of Dockerfile as scripts/container.sh puts it together where no container engine is: the binary and the libraries it loads
/// alone in a root that cannot be written, under the image's user and environment.
/// </summary>
public sealed class ContainerTests(PostgresCluster postgres)
{
    private static readonly string Script = Repository.PathOf("scripts", "container.sh");

    [Fact]
    public async Task TheImageNeedsNothingButItsBinaryAndLibraries()
    {
        OrdinaryUser.NeedsRoot();
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        int port = FreePort.Next(), http = FreePort.Next();
        await File.WriteAllTextAsync(folder.PathOf("app"), PostgresCluster.ScramPassword);
        string[] variables =
        [
            $"POOLER_LISTEN_PORT={port}", $"POOLER_HTTP_LISTEN_PORT={http}", "POOLER_AUTH_TYPE=scram-sha-256", "POOLER_SHUTDOWN_TIMEOUT=0.1",
            $"POOLER_DATABASES__app=host=localhost port={postgres.Port} dbname={database}", $"POOLER_USERLIST__{PostgresCluster.ScramUser}_FILE=/run/secrets/app",
        ];
        await using ChildProcess process = ChildProcess.StartAsWeAre(folder.Path, ["env", $"SECRETS={folder.Path}", Script, "run", .. variables]);
        await process.SaysAsync("process up");
        Assert.DoesNotContain("WARNING", process.Log, StringComparison.Ordinal);

        string status = await File.ReadAllTextAsync($"/proc/{process.Id}/status");
        Assert.Matches(@"Uid:\s1654\s1654\s1654\s1654", status);
        Assert.Matches(@"CapEff:\s0{16}\n", status);
        string[] roots = [.. File.ReadLines($"/proc/{process.Id}/mountinfo").Where(static line => line.Split(' ')[4] == "/")];
        Assert.StartsWith("ro,", roots[^1].Split(' ')[5], StringComparison.Ordinal);

        // SCRAM on both sides comes from OpenSSL, which is loaded by name; localhost from /etc/hosts.
        CommandLine.Result result = await CommandLine.PsqlAsync(
            $"host=127.0.0.1 port={port} dbname=app user={PostgresCluster.ScramUser} password='{PostgresCluster.ScramPassword}'", "select current_database()");
        Assert.True(result.Output == database, $"{result}\n{process.Log}");

        result = await CommandLine.RunAsync(Script, ["run", $"POOLER_HTTP_LISTEN_PORT={http}", "--", "--probe=healthz"]);
        Assert.Equal((0, "ok"), (result.ExitCode, result.Output));
        result = await CommandLine.RunAsync(Script, ["run", $"POOLER_HTTP_LISTEN_PORT={FreePort.Next()}", "--", "--probe=healthz"]);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("does not answer", result.Error, StringComparison.Ordinal);

        // The end that docker stop asks for comes by itself, though a client stays.
        using PgWire client = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        process.Send(ChildProcess.Signal.Term);
        await process.AssertEndAsync(0, "stopping");
    }

    [Fact]
    public async Task TheImageIsSmallerThan40Megabytes()
    {
        CommandLine.Result result = await CommandLine.RunAsync(Script, ["sizes"]);
        Assert.True(result.ExitCode == 0, $"{result}");
        Dictionary<string, long> sizes = result.Output.Split('\n').ToDictionary(static line => line[..32].TrimEnd(), static line => long.Parse(line[32..].TrimStart().Split(' ')[0], CultureInfo.InvariantCulture));
        Assert.InRange(sizes["binary"], 5_000_000, 30_000_000);
        Assert.InRange(sizes["image"], sizes["binary and libraries"] + 1, 40_000_000);
    }
}
