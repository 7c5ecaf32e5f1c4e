using Pooler.Cluster;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Cluster;

/// <summary>When a replica is left out, and how it comes back.</summary>
public sealed class HealthTests
{
    private const long Second = 1_000_000;

    private long _now = 1000 * Second;

    [Fact]
    public void AReplicaThatOpensNoServersIsEjectedAlthoughItAnswers()
    {
        ClusterState state = Refuses(Refuses(Cluster(replicas: 2), 1), 1);
        Assert.Equal((HealthState.Up, 2, "refused"), (state.Hosts[1].Health.State, state.Hosts[1].Health.Failures, state.Hosts[1].Health.LastProblem));
        state = Refuses(state, 1);
        Assert.Equal((HealthState.Ejected, 1, _now + Second), (state.Hosts[1].Health.State, state.Hosts[1].Health.Ejections, state.Hosts[1].Health.NextTry));

        // Its connection for probes is none of those that fail.
        Assert.Equal(HealthState.Ejected, Answers(state, 1).Hosts[1].Health.State);
    }

    [Fact]
    public void AServerThatOpensEndsARow()
    {
        ClusterState state = Refuses(Refuses(Cluster(replicas: 2), 1), 1).ServerOpened(1, _now);
        Assert.Equal(HealthState.Up, Refuses(Refuses(state, 1), 1).Hosts[1].Health.State);

        // So does a long time.
        state = Refuses(Refuses(Cluster(replicas: 2), 1), 1);
        _now += 61 * Second;
        Assert.Equal((HealthState.Up, 1), (Refuses(state, 1).Hosts[1].Health.State, state.Hosts[1].Health.Failures - 1));
    }

    [Fact]
    public void ItComesBackByATrialAndGoesForLongerAtTheFirstFailure()
    {
        ClusterState state = Ejected(Cluster(replicas: 2), 1);
        for (int pause = 2; pause <= 128; pause *= 2)
        {
            state = Answers(state, 1, isTrial: true);
            Assert.Equal(HealthState.HalfOpen, state.Hosts[1].Health.State);
            state = Refuses(state, 1);
            Assert.Equal((HealthState.Ejected, Math.Min(pause, 60) * Second), (state.Hosts[1].Health.State, state.Hosts[1].Health.NextTry - _now));
        }

        state = Answers(state, 1, isTrial: true).ServerOpened(1, _now);
        Assert.Equal((HealthState.Up, 8), (state.Hosts[1].Health.State, state.Hosts[1].Health.Ejections));
        Assert.Equal(_now + Second, Ejected(state, 1).Hosts[1].Health.NextTry);
    }

    [Fact]
    public void AHostThatIsTooFullForAProbeStaysWhatItWas()
    {
        ClusterState state = Cluster(replicas: 2).Refused(1, "full", _now);
        Assert.Equal((true, "full", HealthState.Up), (state.Hosts[1].IsUp, state.Hosts[1].Problem, state.Hosts[1].Health.State));
        Assert.Null(Answers(state, 1).Hosts[1].Problem);
        Assert.False(state.Failed(1, "dead", _now).Refused(1, "full", _now).Hosts[1].IsUp);

        // A try that found no place is no try: the next one is as far away as this one was.
        state = Ejected(state, 1);
        _now += Second;
        state = state.Refused(1, "full", _now);
        Assert.Equal((HealthState.Ejected, _now + Second), (state.Hosts[1].Health.State, state.Hosts[1].Health.NextTry));
    }

    [Fact]
    public void AHostThatStaysHalfOpenIsWellAfterAWhile()
    {
        ClusterState state = Answers(Ejected(Cluster(replicas: 2), 1), 1, isTrial: true);
        _now += 10 * Second;
        Assert.Equal(HealthState.Up, Answers(state, 1).Hosts[1].Health.State);
    }

    [Fact]
    public void ProbesThatAreMuchSlowerThanThoseOfTheOthersEject()
    {
        ClusterState state = Cluster(replicas: 2);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(HealthState.Up, state.Hosts[1].Health.State);
            state = Answers(state, 1, latency: 200_000);
        }

        Assert.Equal(HealthState.Ejected, state.Hosts[1].Health.State);
        Assert.Contains("200 ms", state.Hosts[1].Health.LastProblem, StringComparison.Ordinal);

        // Still slow at the trial: out again, for longer.
        state = Answers(state, 1, latency: 200_000, isTrial: true);
        Assert.Equal((HealthState.Ejected, 2 * Second), (state.Hosts[1].Health.State, state.Hosts[1].Health.NextTry - _now));
    }

    [Fact]
    public void WhereAllAreSlowNobodyIs()
    {
        ClusterState state = Cluster(replicas: 2);
        for (int i = 0; i < 5; i++)
        {
            state = Answers(Answers(Answers(state, 0, latency: 200_000), 1, latency: 200_000), 2, latency: 200_000);
        }

        Assert.All(state.Hosts, static h => Assert.Equal(HealthState.Up, h.Health.State));
    }

    [Fact]
    public void TheLastOfItsKindIsNeverLeftOut()
    {
        ClusterState state = Cluster(replicas: 1);
        for (int i = 0; i < 10; i++)
        {
            state = Refuses(Refuses(state, 0), 1);
        }

        Assert.Equal([HealthState.Up, HealthState.Up], state.Hosts.Select(static h => h.Health.State));
    }

    [Fact]
    public void WhenTheOthersAreGoneTheEjectedAreBack()
    {
        ClusterState state = Ejected(Cluster(replicas: 2), 1);
        Assert.False(state.Hosts[1].ServesReads(Config));
        Assert.Equal(HealthState.Ejected, state.Spared(Config, _now).Hosts[1].Health.State);
        state = state.Failed(2, "gone", _now).Spared(Config, _now);
        Assert.Equal(HealthState.HalfOpen, state.Hosts[1].Health.State);
        Assert.True(state.Hosts[1].ServesReads(Config));
    }

    [Fact]
    public void ADownHostIsUpWithItsNextAnswer()
    {
        ClusterState state = Cluster(replicas: 1).Failed(1, "gone", _now).Failed(1, "gone", _now);
        Assert.Equal((HealthState.Down, 2, "gone"), (state.Hosts[1].Health.State, state.Hosts[1].Health.Failures, state.Hosts[1].Health.LastProblem));
        Assert.Equal((HealthState.Up, 0), (Answers(state, 1).Hosts[1].Health.State, Answers(state, 1).Hosts[1].Health.Failures));
    }

    private static ClusterConfig Config { get; } = ClusterStateTests.Config;

    private ClusterState Cluster(int replicas)
    {
        ClusterState state = ClusterState.Of([.. Enumerable.Range(0, replicas + 1).Select(static i => new HostAddress($"db{i}", 5432))]);
        for (int i = 0; i <= replicas; i++)
        {
            state = Answers(state, i);
        }

        return state;
    }

    private ClusterState Answers(ClusterState state, int host, long latency = 300, bool isTrial = false) => state.Answered(
        host, new HostFacts(host > 0, false, "7000", 1, 1000, null, DateTime.UnixEpoch, 170000), _now, latency, isTrial: isTrial);

    private ClusterState Refuses(ClusterState state, int host) => state.ServerFailed(host, "refused", _now);

    private ClusterState Ejected(ClusterState state, int host) => Refuses(Refuses(Refuses(state, host), host), host);
}
