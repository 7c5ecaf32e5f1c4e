namespace Pooler.IntegrationTests;

/// <summary>As in a container: no file of settings, only variables, and files for what is secret.</summary>
public sealed class EnvironmentTests(PostgresCluster postgres)
{
    [Fact]
    public async Task VariablesAndSecretFilesAreEnough()
    {
        string database = await postgres.CreateDatabaseAsync();
        using var folder = new RunFolder();
        int port = FreePort.Next();
        string password = folder.PathOf("password"), admin = folder.PathOf("admin");
        await File.WriteAllTextAsync(password, PostgresCluster.ScramPassword + "\n");
        await File.WriteAllTextAsync(admin, "first\n");
        string[] variables =
        [
            "POOLER_LISTEN_ADDR=127.0.0.1", $"POOLER_LISTEN_PORT={port}", "POOLER_UNIX_SOCKET_DIR=", "POOLER_AUTH_TYPE=scram-sha-256",
            $"POOLER_DATABASES__shop=postgres://127.0.0.1:{postgres.Port}/{database}?pool_mode=transaction", "POOLER_ADMIN_USERS=boss",
            $"POOLER_USERLIST__{PostgresCluster.ScramUser}_FILE={password}", $"POOLER_USERLIST__boss_FILE={admin}",
        ];
        await using ChildProcess process = ChildProcess.Start(folder.Path, ["env", "-i", .. variables, PoolerProcess.RunnableBinary(folder.Path)]);
        await process.SaysAsync("process up");
        Assert.DoesNotContain("WARNING", process.Log, StringComparison.Ordinal);

        string address = $"host=127.0.0.1 port={port}";
        CommandLine.Result result = await CommandLine.PsqlAsync($"{address} dbname=shop user={PostgresCluster.ScramUser} password='{PostgresCluster.ScramPassword}'", "select current_database()");
        Assert.True(result.Output == database, $"{result}");
        result = await CommandLine.PsqlAsync($"{address} dbname=shop user={PostgresCluster.ScramUser} password=wrong", "select 1");
        Assert.Contains("SASL authentication failed", result.Error, StringComparison.Ordinal);

        // A secret that was rotated is read by the next RELOAD.
        await File.WriteAllTextAsync(admin, "second\n");
        result = await CommandLine.PsqlAsync($"{address} dbname=pgbouncer user=boss password=first", "reload");
        Assert.True(result.ExitCode == 0, $"{result}");
        result = await CommandLine.PsqlAsync($"{address} dbname=pgbouncer user=boss password=second", "show version");
        Assert.True(result.ExitCode == 0, $"{result}");
        process.Send(ChildProcess.Signal.Quit);
        await process.AssertEndAsync(0, "fast exit");
    }
}
