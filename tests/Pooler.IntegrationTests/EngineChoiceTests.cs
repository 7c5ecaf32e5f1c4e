using System.Runtime.InteropServices;

namespace Pooler.IntegrationTests;

/// <summary>io_engine where the sandbox refuses io_uring, as containers' default seccomp profiles do, and where it does not.</summary>
public sealed class EngineChoiceTests(PostgresCluster postgres)
{
    // prctl(PR_SET_SECCOMP) with a filter that answers io_uring_setup (425) with EPERM and lets everything else through.
    private const string RefuseRings = """
        my ($prctl, @program) = @ARGV;
        my $filter = pack("SCCL" x 4, 0x20, 0, 0, 0, 0x15, 0, 1, 425, 0x06, 0, 0, 0x00050001, 0x06, 0, 0, 0x7fff0000);
        my $code = pack("Sx6P", 4, $filter);
        syscall($prctl + 0, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
        syscall($prctl + 0, 22, 2, $code) == 0 or die "seccomp: $!";
        exec { $program[0] } @program or die "exec: $!";
        """;

    // The whole suite may run on one engine, named in the environment, which beats the file.
    private static readonly string[] AsConfigured = ["env", "-u", "POOLER_IO_ENGINE"];

    private static string[] WithoutRings => [.. AsConfigured, "perl", "-e", RefuseRings, RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? "167" : "157"];

    [Fact]
    public async Task AutoTakesEpollWhereRingsAreRefusedAndSaysWhy()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(Ini(database, "auto"), WithoutRings);
        await pooler.SeesInLogAsync("io_engine: epoll, because io_uring is refused here: Operation not permitted");
        using PgWire wire = await pooler.LoginAsync(database);
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    }

    [Theory, InlineData("auto"), InlineData("io_uring"), InlineData("epoll")]
    public async Task TheLogNamesTheEngineOnce(string engine)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(Ini(database, engine), AsConfigured);
        Assert.Single(pooler.LogLines, static line => line.Contains("io_engine: ", StringComparison.Ordinal));
        using PgWire wire = await pooler.LoginAsync(database);
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    }

    [Fact]
    public async Task UringWhereRingsAreRefusedDoesNotStart()
    {
        string folder = OrdinaryUser.CreateFolder();
        await using ChildProcess process = ChildProcess.Start(
            folder, [.. WithoutRings, PoolerProcess.RunnableBinary(folder), Ini("none", "io_uring").Write(folder, FreePort.Next())]);
        Assert.True(await process.WaitForExitAsync(Patience.Default));
        Assert.Equal(1, process.ExitCode);
        Assert.Contains("io_engine = io_uring is refused here: Operation not permitted", process.Log, StringComparison.Ordinal);
        Assert.Contains("use io_engine = auto or epoll", process.Log, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    private PoolerIni Ini(string database, string engine)
    {
        var ini = new PoolerIni();
        ini.Databases[database] = $"host=127.0.0.1 port={postgres.Port} dbname={database}";
        ini.Settings["io_engine"] = engine;
        return ini;
    }
}
