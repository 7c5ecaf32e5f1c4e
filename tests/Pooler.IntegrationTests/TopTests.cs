using System.Diagnostics;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>pooler top: the live page in a terminal, and printed once where there is none.</summary>
public sealed class TopTests(PostgresCluster postgres)
{
    [Fact]
    public async Task WithoutATerminalItPrintsEverythingOnce()
    {
        (PoolerProcess pooler, string address, string database) = await StartAsync();
        await using PoolerProcess own = pooler;
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1 AS \"\e[31m\"");
        await client.QueryAsync("LISTEN news");
        await Eventually.EqualsAsync("pins", 1, async () => (await pooler.ConsoleAsync("SHOW PINS")).Count);

        CommandLine.Result top = await CommandLine.RunAsync(PoolerProcess.Binary, ["top", address]);
        Assert.Equal((0, ""), (top.ExitCode, top.Error));
        string[] lines = top.Output.Split('\n');
        Assert.StartsWith("pooler ", lines[0], StringComparison.Ordinal);
        Assert.Contains(", serving, ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("Clients 1 of ", lines[1], StringComparison.Ordinal);
        Assert.Contains("Transactions/s 0 ", lines[1], StringComparison.Ordinal);
        Assert.Contains(lines, line => line.StartsWith(database, StringComparison.Ordinal) && line.EndsWith($"127.0.0.1:{postgres.Port}/{database}", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains(PostgresCluster.User, StringComparison.Ordinal) && line.EndsWith("LISTEN", StringComparison.Ordinal));
        Assert.Contains(lines, static line => line.EndsWith("SELECT ? AS \"?[31m\"", StringComparison.Ordinal));
        Assert.DoesNotContain('\e', top.Output);
    }

    [Fact]
    public async Task WithoutAPageItSaysWhy()
    {
        (PoolerProcess pooler, string address, _) = await StartAsync();
        await using PoolerProcess own = pooler;
        await pooler.CommandAsync("SET http_page = 0");
        CommandLine.Result top = await CommandLine.RunAsync(PoolerProcess.Binary, ["top", address]);
        Assert.Equal((1, $"{address}/: there is no live page here (http_page)"), (top.ExitCode, top.Error));

        top = await CommandLine.RunAsync(PoolerProcess.Binary, ["top", $"127.0.0.1:{FreePort.Next()}"]);
        Assert.Equal(1, top.ExitCode);
        Assert.EndsWith("(http_listen_addr, http_listen_port)", top.Error, StringComparison.Ordinal);
        Assert.Equal((1, "this is no address: :// (http://HOST:PORT)"), Told(await CommandLine.RunAsync(PoolerProcess.Binary, ["top", "://"])));
    }

    /// <summary>A real terminal of 30 lines: keys choose the table, what is lost is said, q leaves the screen as it was.</summary>
    [Fact]
    public async Task ATerminalIsDrawnEachSecondAndLeftAsItWas()
    {
        (PoolerProcess pooler, string address, string database) = await StartAsync();
        await using PoolerProcess own = pooler;
        using PgWire client = await pooler.LoginAsync(database);
        await client.QueryAsync("SELECT 1");
        var start = new ProcessStartInfo("script", ["-qefc", $"stty cols 100 rows 30; exec {PoolerProcess.Binary} top {address}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            Environment = { ["TERM"] = "xterm-256color", ["SHELL"] = "/bin/sh" },
        };
        using Process top = Process.Start(start)!;
        try
        {
            var seen = new StringBuilder();
            Task reading = Task.Run(async () =>
            {
                char[] buffer = new char[4096];
                for (int length; (length = await top.StandardOutput.ReadAsync(buffer)) > 0;)
                {
                    lock (seen)
                        seen.Append(buffer, 0, length);
                }
            });
            await SeesAsync(seen, "Clients 1 of ");
            await SeesAsync(seen, "[Databases]");
            await SeesAsync(seen, database);
            await top.StandardInput.WriteAsync('6');
            await top.StandardInput.FlushAsync();
            await SeesAsync(seen, "[Statements]");
            await SeesAsync(seen, "SELECT ?");
            await top.StandardInput.WriteAsync('7');
            await top.StandardInput.FlushAsync();
            await SeesAsync(seen, "process up: ");

            await pooler.StopAsync();
            await SeesAsync(seen, ", figures of ");
            Assert.All(Shown(seen).Split("\e[?2026h"), static frame => Assert.InRange(frame.Split("\r\n").Length, 1, 30));
            await top.StandardInput.WriteAsync('q');
            await top.StandardInput.FlushAsync();
            await top.WaitForExitAsync().WaitAsync(Patience.Default);
            await reading.WaitAsync(Patience.Default);
            Assert.Equal(0, top.ExitCode);
            Assert.Contains("\e[?25h\e[?1049l", seen.ToString()[^60..], StringComparison.Ordinal);
        }
        finally
        {
            if (!top.HasExited)
                top.Kill(entireProcessTree: true);
        }
    }

    private static Task<bool> SeesAsync(StringBuilder seen, string text) =>
        Eventually.EqualsAsync($"the terminal shows {text}", true, () => Task.FromResult(Shown(seen).Contains(text, StringComparison.Ordinal)));

    private static string Shown(StringBuilder seen)
    {
        lock (seen)
            return seen.ToString();
    }

    private static (int, string) Told(CommandLine.Result result) => (result.ExitCode, result.Error);

    private async Task<(PoolerProcess Pooler, string Address, string Database)> StartAsync()
    {
        string database = await postgres.CreateDatabaseAsync();
        int port = FreePort.Next();
        PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Settings["http_listen_port"] = $"{port}");
        await Eventually.BecomesAsync("the process is up", () => Task.FromResult(pooler.Log), static log => log.Contains("process up:", StringComparison.Ordinal));
        return (pooler, $"http://127.0.0.1:{port}", database);
    }
}
