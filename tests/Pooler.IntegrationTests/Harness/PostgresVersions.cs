using System.Collections.Concurrent;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A cluster of each version of PostgreSQL that is there, started when the first test asks for it.</summary>
public sealed class PostgresVersions : IAsyncDisposable
{
    private readonly ConcurrentDictionary<int, Lazy<Task<PostgresCluster>>> _clusters = new();

    /// <summary>Where a version has its programs: Debian's, or what scripts/postgres.sh has fetched. Null when there is neither.</summary>
    internal static string? ProgramsOf(int version) =>
        new[] { $"/usr/lib/postgresql/{version}/bin", Repository.PathOf("artifacts", "postgres", $"{version}", "bin") }
            .FirstOrDefault(static programs => File.Exists(Path.Combine(programs, "postgres")));

    /// <summary>The cluster of a version; a test that asks for one that is not there is skipped.</summary>
    internal Task<PostgresCluster> GetAsync(int version)
    {
        string? programs = ProgramsOf(version);
        Assert.SkipWhen(programs is null, $"PostgreSQL {version} is not there: scripts/postgres.sh {version} fetches it from npm's registry");
        return _clusters.GetOrAdd(version, _ => new Lazy<Task<PostgresCluster>>(() => StartAsync(programs!))).Value;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Lazy<Task<PostgresCluster>> cluster in _clusters.Values)
            await (await cluster.Value).DisposeAsync();
    }

    private static async Task<PostgresCluster> StartAsync(string programs)
    {
        var cluster = new PostgresCluster(programs);
        await cluster.InitializeAsync();
        return cluster;
    }
}
