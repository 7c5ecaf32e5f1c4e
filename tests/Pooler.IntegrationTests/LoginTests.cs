using Npgsql;

namespace Pooler.IntegrationTests;

public sealed class LoginTests(PostgresCluster postgres)
{
    public static readonly TheoryData<string, string, string> Passwords = new()
    {
        { "md5", PostgresCluster.Md5User, PostgresCluster.Md5Password },
        { "md5", PostgresCluster.ScramUser, PostgresCluster.ScramPassword },
        { "scram-sha-256", PostgresCluster.ScramUser, PostgresCluster.ScramPassword },
        { "scram-sha-256", PostgresCluster.Md5User, PostgresCluster.Md5Password },
        { "plain", PostgresCluster.ScramUser, PostgresCluster.ScramPassword },
    };

    [Theory, MemberData(nameof(Passwords))]
    public async Task TheRightPasswordLogsInOnBothSides(string authType, string user, string password)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Settings["auth_type"] = authType);

        CommandLine.Result result = await CommandLine.PsqlAsync(pooler.LibpqString(database, user, password), "SELECT current_user");
        Assert.True(result.ExitCode == 0, $"{result}\n{pooler.Log}");
        Assert.Equal(user, result.Output);

        await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database, user, password));
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT current_user::text", connection);
        Assert.Equal(user, await command.ExecuteScalarAsync());
    }

    [Theory]
    [InlineData("md5", PostgresCluster.Md5User)]
    [InlineData("scram-sha-256", PostgresCluster.ScramUser)]
    [InlineData("plain", PostgresCluster.ScramUser)]
    [InlineData("scram-sha-256", "nobody_here")]
    [InlineData("md5", "nobody_here")]
    public async Task AWrongPasswordIsRefusedAndHarmsNobody(string authType, string user)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini => ini.Settings["auth_type"] = authType);
        await using var present = new NpgsqlConnection(pooler.NpgsqlString(database, PostgresCluster.ScramUser, PostgresCluster.ScramPassword));
        await present.OpenAsync();

        await using var wrong = new NpgsqlConnection(pooler.NpgsqlString(database, user, "not the password"));
        PostgresException refused = await Assert.ThrowsAsync<PostgresException>(wrong.OpenAsync);
        if (!PoolerProcess.IsPgBouncer)
            Assert.Equal(PostgresErrorCodes.InvalidPassword, refused.SqlState);
        Assert.Equal("FATAL", refused.InvariantSeverity ?? refused.Severity);

        await using var command = new NpgsqlCommand("SELECT 1", present);
        Assert.Equal(1, await command.ExecuteScalarAsync());
    }

    [Fact]
    public async Task AnUnknownDatabaseIsRefusedByName()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database);

        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", "nowhere")));
        PgMessage error = (await wire.ReadToEndAsync()).Last();

        Assert.Equal('E', error.Type);
        Assert.Equal("FATAL", error.Fields()['S']);
        Assert.True(error.SqlState is "08P01" or "3D000", error.ToString());
        Assert.Contains("nowhere", error.Fields()['M'], StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheServersRefusalReachesTheClient()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database,
            adjust: ini => ini.Databases["gone"] = $"host=127.0.0.1 port={postgres.Port} dbname=not_on_the_server");

        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", "gone")));
        PgMessage error = (await wire.ReadToEndAsync()).Last();

        Assert.Equal('E', error.Type);
        Assert.Contains("not_on_the_server", error.Fields()['M'], StringComparison.Ordinal);
        if (!PoolerProcess.IsPgBouncer)
            Assert.Equal("3D000", error.SqlState);
    }
}
