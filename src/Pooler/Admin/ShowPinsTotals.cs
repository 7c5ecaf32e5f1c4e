using Pooler.Pooling;
using Pooler.Session;
using static Pooler.Admin.Columns;

namespace Pooler.Admin;

/// <summary>SHOW PINS_TOTALS, ours: how often each reason has pinned a client, and how often it was refused, since the start.</summary>
internal sealed class ShowPinsTotals() : ShowCommand(Text("reason"), Int8("pins"), Int8("refused"))
{
    protected override void Fill(Table table, AdminConsole console)
    {
        PoolStats sums = DatabaseStats.SumOf(console.Stats.Now()).Total;
        for (int bit = 0; bit < PinReasons.Count; bit++)
        {
            table.Add(PinReasons.Of(bit), $"{sums.Pins[bit]}", $"{sums.PinRefusals[bit]}");
        }
    }
}
