using Xunit;

namespace Pooler.Tests.Model;

/// <summary>
/// Every interleaving of two clients, one server, cancel, error, disconnect, death, timeout and release, up to a number of
/// messages: no invariant breaks. And each invariant is alive: with a rule left out the same exploration finds a violation.
/// </summary>
public sealed class LeaseModelTests(ITestOutputHelper output)
{
    private const int MostStates = 2_000_000;

    [Theory]
    [InlineData("QES", 3, "Q", 1, 1)]
    [InlineData("QTX", 2, "QW", 2, 0)]
    [InlineData("EQTX", 3, "Q", 1, 0)]
    [InlineData("CDhlcQ", 3, "Q", 1, 0)]
    [InlineData("YSDhl", 3, "Q", 1, 0)]
    [InlineData("=YSDcS", 5, "Q", 1, 1)]
    [InlineData("=YDScS", 5, "QT", 1, 0)]
    [InlineData("=CDCcQS", 6, "Q", 1, 0)]
    [InlineData("=EChlDcQ", 7, "Q", 1, 0)]
    public void NoInterleavingBreaksARule(string alphabetA, int messagesA, string alphabetB, int messagesB, int deaths)
    {
        string? broken = Explore(new LeaseModel(alphabetA, messagesA, alphabetB, messagesB), deaths, out int states, out string trace);
        output.WriteLine($"{states} states");
        Assert.True(broken == null, $"{broken} after {states} states:{Environment.NewLine}{trace}");
        Assert.InRange(states, 10_000, MostStates - 1); // All of them were seen.
    }

    /// <summary>Client A cancels: a request that waits, one that runs, one that has just been answered. It hits its own or nothing.</summary>
    [Theory]
    [InlineData("Q", 3, "Q", 1, 1, 1)]
    [InlineData("Q", 2, "Q", 2, 0, 1)]
    [InlineData("QT", 3, "Q", 1, 0, 1)]
    [InlineData("QW", 2, "QW", 1, 0, 2)]
    public void ACancelHitsItsRequestOrNothing(string alphabetA, int messagesA, string alphabetB, int messagesB, int deaths, int cancels)
    {
        string? broken = Explore(new LeaseModel(alphabetA, messagesA, alphabetB, messagesB, looksAtCancels: true), deaths, out int states, out string trace, cancels);
        output.WriteLine($"{states} states");
        Assert.True(broken == null, $"{broken} after {states} states:{Environment.NewLine}{trace}");
        Assert.InRange(states, 10_000, MostStates - 1);
    }

    [Theory]
    [InlineData(nameof(Mutant.CancelWhateverRuns))]
    [InlineData(nameof(Mutant.ForwardUnderACancel))]
    [InlineData(nameof(Mutant.PipelineUnderACancel))]
    [InlineData(nameof(Mutant.LoseTheGrantOfACanceled))]
    [InlineData(nameof(Mutant.CancelTheSettings))]
    public void ARuleOfCancelsLeftOutIsFound(string name)
    {
        string? broken = Explore(new LeaseModel("QT", 3, "Q", 1, Enum.Parse<Mutant>(name), looksAtCancels: true), deaths: 0, out int states, out string trace, cancels: 1);
        output.WriteLine($"{broken} after {states} states:{Environment.NewLine}{trace}");
        Assert.NotNull(broken);
        Assert.True(states < MostStates);
        Assert.Contains(trace.Split(Environment.NewLine), static line => line.Contains(" asks ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(nameof(Mutant.ReleaseBeforeTheQueueIsEmpty), "QS", 3)]
    [InlineData(nameof(Mutant.ReleaseInATransaction), "QT", 2)]
    [InlineData(nameof(Mutant.ReleaseInABatch), "QES", 3)]
    [InlineData(nameof(Mutant.ReleaseDirty), "QW", 2)]
    [InlineData(nameof(Mutant.ReleaseMidFrame), "=CDhl", 4)]
    [InlineData(nameof(Mutant.ReleaseOnlyAtReplies), "=CDhl", 4)]
    [InlineData(nameof(Mutant.KeepServerAfterHalfAMessage), "Chl", 3)]
    [InlineData(nameof(Mutant.ReleaseWithACancelUnderWay), "Q", 2)]
    [InlineData(nameof(Mutant.CancelTheSettings), "Q", 1)]
    [InlineData(nameof(Mutant.NoRollback), "QT", 2)]
    [InlineData(nameof(Mutant.NoSync), "QE", 2)]
    [InlineData(nameof(Mutant.NoCopyFail), "C", 2)]
    [InlineData(nameof(Mutant.LoseTheGrantOfALeaver), "Q", 2)]
    [InlineData(nameof(Mutant.GrantTwice), "Q", 2)]
    [InlineData(nameof(Mutant.WakeNobody), "Q", 2)]
    [InlineData(nameof(Mutant.SendAgain), "Q", 2)]
    [InlineData(nameof(Mutant.NoSettings), "Q", 1)]
    [InlineData(nameof(Mutant.TrustAFailedCopy), "=YDScS", 5)]
    public void ARuleLeftOutIsFound(string name, string alphabet, int messages)
    {
        var mutant = Enum.Parse<Mutant>(name);
        string? broken = Explore(new LeaseModel(alphabet, messages, "Q", 1, mutant), deaths: 1, out int states, out _);
        output.WriteLine($"{broken} after {states} states");
        Assert.NotNull(broken);
        Assert.True(states < MostStates);
        Assert.Null(Explore(new LeaseModel(alphabet, messages, "Q", 1), deaths: 1, out _, out _));
    }

    [Fact]
    public void EveryRuleHasItsMutant() => Assert.Equal(
        Enum.GetNames<Mutant>().Except([nameof(Mutant.None)]).Order(),
        new[] { nameof(ARuleLeftOutIsFound), nameof(ARuleOfCancelsLeftOutIsFound) }.SelectMany(static m => typeof(LeaseModelTests).GetMethod(m)!.GetCustomAttributesData())
            .Where(static a => a.AttributeType == typeof(InlineDataAttribute))
            .Select(static a => (string)((IReadOnlyList<System.Reflection.CustomAttributeTypedArgument>)a.ConstructorArguments[0].Value!)[0].Value!).Distinct().Order());

    /// <summary>Breadth first; the first broken invariant with the way to it, or null when all states were seen.</summary>
    private static string? Explore(LeaseModel model, int deaths, out int states, out string trace, int cancels = 0)
    {
        var first = new LeaseState { Deaths = deaths, Cancels = cancels };
        Dictionary<LeaseState, LeaseState?> from = new() { [first] = null };
        var queue = new Queue<LeaseState>([first]);
        trace = "";
        while (queue.TryDequeue(out LeaseState? state))
        {
            List<LeaseState> next = model.Next(state, out int internals);
            string? broken = LeaseModel.Broken(state) ?? (internals == 0 ? LeaseModel.Stuck(state) : null);
            if (broken != null)
            {
                states = from.Count;
                trace = string.Join(Environment.NewLine, Path(from, state).Reverse());
                return broken;
            }

            foreach (LeaseState successor in next)
            {
                if (from.Count < MostStates && from.TryAdd(successor, state))
                {
                    queue.Enqueue(successor);
                }
            }
        }

        states = from.Count;
        return null;
    }

    private static IEnumerable<string> Path(Dictionary<LeaseState, LeaseState?> from, LeaseState? state)
    {
        for (; state != null; state = from[state])
        {
            yield return $"A {state.A.Phase}:{state.A.Inbox} B {state.B.Phase}:{state.B.Inbox} holder {state.Holder} owed {state.Owed}"
                + $"{(state.BatchOpen ? " batch" : "")}{(state.Skipping ? " skipping" : "")}{(state.InCopy ? " copy" : "")} to {state.ToServer} from {state.FromServer}"
                + $" runs {state.Running} server {state.Status}{state.Copy}{(state.ServerSkips ? " skips" : "")}{(state.IsAlive ? "" : " dead")} cancel {state.Cancel}{(state.Ask == '-' ? "" : $" asks {state.Ask}{state.CancelNumber}")}";
        }
    }
}
