namespace Pooler.IntegrationTests;

/// <summary>
/// Drivers of other languages, by the programs in tests/Drivers: many clients over two servers, passwords on both sides. Each
/// program compares with a connection past the pooler what can be compared, and prints a line for every check.
/// </summary>
public sealed class DriverTests(PostgresCluster postgres)
{
    private const int Servers = 2;

    private const string AdminPassword = "admin secret";

    // Debian's own, for which its packages are; no .pyc is left in the tree.
    private static readonly string[] Python = ["/usr/bin/python3", "-B"];

    /// <summary>The programs and how they are started; scripts/test.sh installs what they need.</summary>
    public static readonly TheoryData<string, string[]> Programs = new()
    {
        { "node/pg.js", ["node"] },
        { "node/postgres.js", ["node"] },
        { "python/psycopg_driver.py", Python },
        { "python/asyncpg_driver.py", Python },
        { "java/Jdbc.java", ["java", "-cp", "/usr/share/java/postgresql.jar"] },
    };

    [Theory, MemberData(nameof(Programs))]
    public Task DoAsTheyDoDirectly(string program, string[] launcher) => RunAsync([.. launcher, Repository.PathOf("tests", "Drivers", program)]);

    [Fact]
    public async Task ThePipelineModeOfLibpq()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("pooler-");
        string program = Path.Combine(folder.FullName, "libpq_pipeline");
        CommandLine.Result compiled = await CommandLine.RunAsync("clang", ["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-I/usr/include/postgresql",
            Repository.PathOf("tests", "Drivers", "c", "libpq_pipeline.c"), "-o", program, "-lpq"]);
        Assert.True(compiled.ExitCode == 0, $"{compiled}");
        await RunAsync([program]);
        folder.Delete(recursive: true);
    }

    private async Task RunAsync(string[] command)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: Servers, adjust: static ini =>
        {
            ini.Passwords[PoolerIni.Admin] = AdminPassword;
            ini.Settings["auth_type"] = "scram-sha-256";
            ini.Settings["ignore_startup_parameters"] = "";
        });

        CommandLine.Result result = await CommandLine.RunAsync(command[0],
            [.. command[1..], $"{pooler.Port}", $"{postgres.Port}", database, PostgresCluster.ScramUser, PostgresCluster.ScramPassword]);

        string[] lines = result.Output.Split('\n');
        string seen = $"{result}\n{pooler.Log}";
        Assert.True(lines.All(static line => !line.StartsWith("not ok ", StringComparison.Ordinal)), seen);
        Assert.True(result.ExitCode == 0, seen);
        int good = lines.Count(static line => line.StartsWith("ok ", StringComparison.Ordinal));
        Assert.True(good > 0 && lines[^1] == $"{good} checks", seen);
        // Nobody is left behind, and nothing is kept for them.
        Assert.Equal(Servers, await postgres.CountServersAsync(database));
        await Eventually.EqualsAsync("clients of the database and pins", "", async () =>
            string.Join('\n', (await ConsoleAsync(pooler, "SHOW CLIENTS")).Where(line => line.Contains($"|{database}|", StringComparison.Ordinal))
                .Concat(await ConsoleAsync(pooler, "SHOW PINS"))));
    }

    private static async Task<string[]> ConsoleAsync(PoolerProcess pooler, string command)
    {
        CommandLine.Result result = await CommandLine.PsqlAsync(pooler.LibpqString("pgbouncer", PoolerIni.Admin, AdminPassword), command);
        Assert.True(result.ExitCode == 0, $"{result}");
        return result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
