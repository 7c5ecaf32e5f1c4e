using Pooler.Admin;
using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Monitoring;

/// <summary>What one scrape sees: each of the console's facts is read once, when the first family asks for it.</summary>
internal sealed class Snapshot(AdminConsole console)
{
    public AdminConsole Console => console;

    public long Now { get; } = IoThread.Clock();

    public List<PoolFacts> Pools => field ??= PoolFacts.ReadAll(console.Pools);

    public List<DatabaseStats> Stats => field ??= console.Stats.Now();

    public List<DatabaseFacts> Databases => field ??= DatabaseFacts.ReadAll(console);

    public Dictionary<string, int> Lists => field ??= new(ShowLists.Read(console));
}
