using Pooler.Cluster;
using Pooler.Config;
using Pooler.Tests.Config;
using Xunit;

namespace Pooler.Tests.Cluster;

/// <summary>Who is primary, who lags: pure functions of what the probes saw.</summary>
public sealed class ClusterStateTests
{
    private long _now = 1_000_000;

    [Fact]
    public void NobodyIsPrimaryBeforeEveryHostWasAsked()
    {
        // The one that answers first may be one that was replaced.
        ClusterState state = Of(2);
        state = Writes(state, 0, timeline: 1);
        Assert.Null(state.Primary);
        state = Writes(state, 1, timeline: 2);
        Assert.Equal((1, 2, 1), (state.Primary, state.Timeline, state.Epoch));
        Assert.Equal([HostRole.Rival, HostRole.Primary], Roles(state));
        Assert.Equal(0, state.Rival);
    }

    [Fact]
    public void AHostThatIsDownAtTheStartHoldsNobodyUp()
    {
        ClusterState state = Down(Writes(Of(2), 0), 1);
        Assert.Equal(0, state.Primary);
        Assert.NotNull(state.WritablePrimary);
    }

    [Fact]
    public void APromotedReplicaIsPrimaryWhenTheOldOneIsDown()
    {
        ClusterState state = Replica(Writes(Of(2), 0), 1);
        state = Down(state, 0);
        Assert.Null(state.WritablePrimary);
        Assert.Equal(0, state.Primary);
        state = Writes(state, 1, timeline: 2);
        Assert.Equal((1, 2, 2), (state.Primary, state.Timeline, state.Epoch));
    }

    [Fact]
    public void ASecondPrimaryIsNotFollowedWhileTheFirstAnswers()
    {
        ClusterState state = Replica(Writes(Of(2), 0), 1);
        state = Writes(state, 1, timeline: 2);
        Assert.Equal((0, 1), (state.Primary, state.Rival));
        state = Writes(state, 0);
        Assert.Equal([HostRole.Primary, HostRole.Rival], Roles(state));

        // When the first falls silent, the second is the one.
        Assert.Equal(1, Down(state, 0).Primary);
    }

    [Fact]
    public void APrimaryThatWasReplacedGetsNothingWhenItComesBack()
    {
        ClusterState state = Writes(Down(Replica(Writes(Of(2), 0), 1), 0), 1, timeline: 2);
        state = Writes(state, 0, timeline: 1);
        Assert.Equal((1, HostRole.Rival), (state.Primary, state.Hosts[0].Role));
        state = Down(state, 1);
        state = Writes(state, 0, timeline: 1);
        Assert.Null(state.WritablePrimary);
    }

    [Fact]
    public void ADemotedPrimaryIsNoPrimaryUntilAnotherIsPromoted()
    {
        ClusterState state = Replica(Writes(Of(2), 0), 1);
        state = Replica(state, 0);
        Assert.Null(state.WritablePrimary);
        state = Writes(state, 1, timeline: 2);
        Assert.Equal(1, state.Primary);
    }

    [Fact]
    public void APrimaryThatStartsAgainIsTheSame()
    {
        ClusterState state = Replica(Writes(Of(2), 0), 1);
        state = Writes(Down(state, 0), 0);
        Assert.Equal((0, 1), (state.Primary, state.Epoch));
        Assert.NotNull(state.WritablePrimary);
    }

    [Fact]
    public void AnotherDataSetIsForeign()
    {
        ClusterState state = Replica(Writes(Of(3), 0), 1);
        state = state.Answered(2, Facts(recovery: false, timeline: 9) with { SystemIdentifier = "other" }, _now, 1);
        Assert.Equal((0, HostRole.Foreign), (state.Primary, state.Hosts[2].Role));
        Assert.Equal(0, Down(state, 0).Primary);
    }

    [Fact]
    public void LagIsMeasuredInBytesAndTime()
    {
        ClusterState state = Replica(Writes(Of(2), 0, position: 1000), 1, position: 1000);
        Assert.Equal((0, 0), (state.Hosts[1].Lag, state.Hosts[1].LagTime));

        _now += 1_000_000;
        state = Writes(state, 0, position: 1500);
        _now += 3_000_000;
        state = Replica(state, 1, position: 1200);
        Assert.Equal((300, 3_000_000), (state.Hosts[1].Lag, state.Hosts[1].LagTime));

        // On an idle primary the lag does not grow once the replica is there.
        state = Replica(state, 1, position: 1500);
        _now += 60_000_000;
        state = Writes(state, 0, position: 1500);
        Assert.Equal((0, 0), (state.Hosts[1].Lag, state.Hosts[1].LagTime));
    }

    [Fact]
    public void AReplicaOnAnotherTimelineHasNoKnownLag()
    {
        ClusterState state = Replica(Writes(Of(2), 0, timeline: 3), 1, timeline: 2);
        Assert.Null(state.Hosts[1].Lag);
        Assert.Null(state.Hosts[1].LagTime);
    }

    [Fact]
    public void ABoundIsTheFirstSampleAskedForLater()
    {
        ClusterState state = Of(2);
        Assert.Null(state.Bound(0));
        state = Sampled(Down(state, 1), askedAt: 100, position: 1000);
        state = Sampled(state, askedAt: 200, position: 1500);
        state = Replica(state, 1, position: 900); // A replica's answer is no sample of the primary.
        Assert.Equal((1000, 1500, 1500, null), (state.Bound(99), state.Bound(100), state.Bound(199), state.Bound(200)));
        Assert.Equal((200, 1500), (state.Hosts[0].AskedAt, state.Hosts[0].Position));
    }

    [Fact]
    public void OfManySamplesTheOldestFallOutAndALaterOneStandsIn()
    {
        ClusterState state = Down(Of(2), 1);
        for (int i = 1; i <= 300; i++)
        {
            state = Sampled(state, askedAt: i * 10, position: i);
        }

        Assert.Equal((173, 200, 300, null), (state.Bound(0), state.Bound(1995), state.Bound(2999), state.Bound(3000)));
        Assert.Equal(128, state.Samples.Kept.Length);
    }

    [Fact]
    public void APromotionOrARestartTakesTheSamplesAway()
    {
        ClusterState state = Sampled(Replica(Of(2), 1), askedAt: 100, position: 1000);
        ClusterState restarted = state.Answered(0, Facts(recovery: false, position: 1100) with { StartedAt = DateTime.UnixEpoch.AddDays(1) }, 300, 50);
        Assert.Equal((1, 1100), (restarted.Epoch, restarted.Bound(0)));

        state = Down(state, 0);
        Assert.Equal(1000, state.Bound(0));
        state = state.Answered(1, Facts(recovery: false, timeline: 2, position: 900), 500, 100);
        Assert.Equal((2, 900, null), (state.Epoch, state.Bound(0), state.Bound(400)));
    }

    /// <summary>Quick probing must not make Pooler forget how long a replica has lagged.</summary>
    [Fact]
    public void TheLagInTimeIsKnownForLong()
    {
        ClusterState state = Replica(Of(2), 1, position: 500);
        for (int i = 1; i <= 2000; i++)
        {
            _now += 25_000;
            state = Writes(state, 0, position: 500 + i);
        }

        state = Replica(state, 1, position: 500);
        Assert.InRange(state.Hosts[1].LagTime!.Value, 49_000_000, 50_000_000);
        state = Replica(state, 1, position: 2480);
        Assert.Equal(19 * 25_000, state.Hosts[1].LagTime);
    }

    /// <summary>Random answers in random order: there is never a step back to an older timeline, and never a primary nobody elected.</summary>
    [Fact]
    public void TheTimelineNeverGoesBack()
    {
        var random = new Random(20261123);
        for (int round = 0; round < 500; round++)
        {
            ClusterState state = Of(3);
            for (int step = 0; step < 60; step++)
            {
                int host = random.Next(3), timeline = random.Next(1, 5);
                ClusterState next = random.Next(3) switch
                {
                    0 => Down(state, host),
                    1 => Replica(state, host, timeline),
                    _ => Writes(state, host, timeline),
                };
                Assert.True(next.Timeline >= state.Timeline && next.Epoch >= state.Epoch);
                Assert.True(next.Primary == state.Primary || next.Timeline > state.Timeline || state.Primary == null);
                Assert.True(next.Hosts.Count(static h => h.Role == HostRole.Primary) <= 1);
                Assert.True(next.WritablePrimary is not { } primary || (primary.IsUp && !primary.Facts!.IsInRecovery && primary.Facts.Timeline == next.Timeline));
                state = next;
            }
        }
    }

    private static ClusterState Of(int hosts) => ClusterState.Of([.. Enumerable.Range(0, hosts).Select(static i => new HostAddress($"db{i}", 5432))]);

    private static HostRole[] Roles(ClusterState state) => [.. state.Hosts.Select(static h => h.Role)];

    private static HostFacts Facts(bool recovery, int timeline = 1, long position = 0) =>
        new(recovery, false, "7000", timeline, position, null, DateTime.UnixEpoch, 170000);

    private ClusterState Writes(ClusterState state, int host, int timeline = 1, long position = 0) =>
        state.Answered(host, Facts(recovery: false, timeline, position), _now, 1);

    private ClusterState Replica(ClusterState state, int host, int timeline = 1, long position = 0) =>
        state.Answered(host, Facts(recovery: true, timeline, position), _now, 1);

    [Fact]
    public void AReadOnlyPrimaryIsHeldAndFollowedNoMoreWhenAnotherIsPromoted()
    {
        ClusterState state = Replica(Writes(Of(2), 0), 1);
        state = state.Answered(0, Facts(recovery: false) with { IsReadOnly = true }, _now, 1);
        Assert.Equal((0, HostRole.Primary), (state.Primary, state.Hosts[0].Role));
        Assert.Null(state.WritablePrimary);
        Assert.NotNull(Writes(state, 0).WritablePrimary);
        Assert.Equal(1, Writes(state, 1, timeline: 2).Primary);
    }

    [Theory]
    [InlineData("stay", 2, 0)]
    [InlineData("hold", 2, null)]
    [InlineData("hold", 1, null)]
    [InlineData("newest", 2, 1)]
    [InlineData("newest", 1, 0)]
    public void WhatHappensWhileASecondHostTakesWrites(string word, int timeline, int? writable)
    {
        TwoPrimariesRule rule = Enum.Parse<TwoPrimariesRule>(word, ignoreCase: true);
        ClusterState state = Replica(Writes(Of(2) with { OnTwoPrimaries = rule }, 0), 1);
        state = Writes(Writes(state, 1, timeline), 0);
        Assert.Equal(writable, state.WritablePrimary == null ? null : state.Primary);
        Assert.Equal(writable == 1 ? 0 : 1, state.Rival);
    }

    /// <summary>A primary that was replaced is known by its timeline: nobody is held because it is there again.</summary>
    [Fact]
    public void AnOldPrimaryIsNoReasonToHold()
    {
        ClusterState state = Of(2) with { OnTwoPrimaries = TwoPrimariesRule.Hold };
        state = Writes(Writes(state, 0, timeline: 1), 1, timeline: 2);
        Assert.Equal((1, 0), (state.Primary, state.Rival));
        Assert.NotNull(state.WritablePrimary);
    }

    /// <summary>What the process before this one knew.</summary>
    [Fact]
    public void AnOldPrimaryThatIsThereAloneAfterARestartIsNotFollowed()
    {
        ClusterState state = Of(2) with { SystemIdentifier = "7000", Timeline = 3 };
        state = Down(Writes(state, 0, timeline: 2), 1);
        Assert.Equal((null, HostRole.Rival), (state.Primary, state.Hosts[0].Role));
        Assert.Equal(1, Writes(state, 1, timeline: 3).Primary);
        Assert.Equal(HostRole.Foreign, state.Answered(0, Facts(recovery: false, timeline: 9) with { SystemIdentifier = "other" }, _now, 1).Hosts[0].Role);
    }

    [Fact]
    public void TheDataSetIsThatOfMostHosts()
    {
        ClusterState state = Of(3).Answered(0, Facts(recovery: false, timeline: 9) with { SystemIdentifier = "other" }, _now, 1);
        state = Replica(Writes(state, 1), 2);
        Assert.Equal(("7000", 1), (state.SystemIdentifier, state.Primary));
        Assert.Equal([HostRole.Foreign, HostRole.Primary, HostRole.Replica], Roles(state));
    }

    [Fact]
    public void ASubscriberServesReadsWhenAllItsTablesFollow()
    {
        HostFacts primary = Facts(recovery: false, position: 5000) with { Slots = [new LogicalSlot("sub", 4000)] };
        HostFacts subscriber = Facts(recovery: false, position: 77) with { SystemIdentifier = "other", Subscriptions = [new Subscription("s", "sub", IsReady: true, Applied: 4500)] };
        ClusterState state = Of(2).Answered(1, subscriber, _now, 1).Answered(0, primary, _now, 1);
        Assert.Equal([HostRole.Primary, HostRole.Subscriber], Roles(state));
        Assert.Equal((500, true), (state.Hosts[1].Lag, state.Hosts[1].IsLogical));

        // Others' writes move only what is confirmed; where remote_lsn may not be seen that is all there is.
        state = state.Answered(0, primary with { Slots = [new LogicalSlot("sub", 5000)] }, _now, 1);
        Assert.Equal(0, state.Hosts[1].Lag);
        Assert.True(state.Hosts[1].ServesReads(Config));
        ClusterState copying = state.Answered(1, subscriber with { Subscriptions = [new Subscription("s", "sub", IsReady: false, Applied: 4500)] }, _now, 1);
        Assert.False(copying.Hosts[1].ServesReads(Config with { MaxReplicaLagTime = TimeSpan.Zero }));
        Assert.Equal(HostRole.Foreign, state.Answered(1, subscriber with { Subscriptions = [new Subscription("s", "another", true, 1)] }, _now, 1).Hosts[1].Role);

        // It is never primary.
        Assert.Equal(0, Down(state, 0).Primary);
    }

    [Fact]
    public void WhatTheMonitorMayNotSeeCountsAsNotFresh()
    {
        ClusterState state = Writes(Of(2), 0).Answered(1, Facts(recovery: true) with { SeesAll = false }, _now, 1);
        Assert.Null(state.Hosts[1].Lag);
        Assert.False(state.Hosts[1].ServesReads(Config));
        Assert.True(Replica(state, 1).Hosts[1].ServesReads(Config));
    }

    [Fact]
    public void TheSyncStateOfAStandbyIsThatOfItsWalSender()
    {
        HostFacts primary = Facts(recovery: false) with
        {
            Receivers =
            [
                new WalReceiver("walreceiver", "10.0.0.2", "streaming", "async", 1, 1, 1, "slot2", false),
                new WalReceiver("db3", "10.0.0.3", "streaming", "sync", 1, 1, 1, null, false),
                new WalReceiver("walreceiver", "10.0.0.4", "streaming", "potential", 1, 1, 1, null, false),
                new WalReceiver("walreceiver", "10.0.0.5", "streaming", "quorum", 1, 1, 1, null, false),
                new WalReceiver("walreceiver", "10.0.0.5", "streaming", "async", 1, 1, 1, null, false),
            ],
        };
        HostFacts standby = Facts(recovery: true);
        ClusterState state = Of(5).Answered(0, primary, _now, 1)
            .Answered(1, standby with { SlotName = "slot2", Address = "10.0.0.5" }, _now, 1)
            .Answered(2, standby with { ClusterName = "db3" }, _now, 1)
            .Answered(3, standby with { Address = "10.0.0.4" }, _now, 1)
            .Answered(4, standby with { Address = "10.0.0.9" }, _now, 1);
        Assert.Equal([null, "async", "sync", "potential", null], state.Hosts.Select(static h => h.SyncState));
        state = state.Answered(4, standby with { Address = "10.0.0.5" }, _now, 1);
        Assert.Null(state.Hosts[4].SyncState); // Two of one address: nobody knows which.
    }

    internal static ClusterConfig Config { get; } = Load();

    private static ClusterConfig Load()
    {
        using var folder = new TempFolder();
        PoolerConfig config = folder.LoadRight("[databases]\napp = host=db0,db1,db2 routing=prefer_replica\n[pgbouncer]\nlisten_addr = 127.0.0.1\n");
        return config.ClusterOf(config.Databases["app"])!;
    }

    private static ClusterState Sampled(ClusterState state, long askedAt, long position) =>
        state.Answered(0, Facts(recovery: false, position: position), askedAt + 50, 50);

    private ClusterState Down(ClusterState state, int host) => state.Failed(host, "gone", _now);
}
