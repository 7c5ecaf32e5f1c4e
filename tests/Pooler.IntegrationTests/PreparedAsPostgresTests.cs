namespace Pooler.IntegrationTests;

/// <summary>
/// The same messages to PostgreSQL itself, a connection for each client, and through one server that all clients share: the
/// answers must be the same in all that matters. What SQL itself prepares keeps its client on its server ("pinned": there are two).
/// A step is "a: message message …", of client a or b
/// (<see cref="Script"/>).
/// </summary>
public sealed class PreparedAsPostgresTests(PostgresCluster postgres)
{
    public static readonly TheoryData<string, string[]> Scripts = new()
    {
        { "prepared once, used often", ["a: P one{select 1} S", "a: B one E S", "a: B one E B one E S", "b: Q {select 2}", "a: D one B one E S"] },
        { "in one batch", ["a: P one{select 1} D one B one E S", "a: B one E S"] },
        { "with parameters", ["a: P one{select $1::int + 1} S", "a: B one(41) E S", "a: B one(x) E S", "a: B one E S", "a: B one(1) E S"] },
        { "an error behind which the name goes", ["a: P one{select $1::int + 1} S", "a: C one P two{select $1::int + 1} S", "a: B two E C two P one{select $1::int + 1} S", "a: B two E S C two P one{select $1::int + 1} S", "a: B one E S"] },
        { "the same name for other texts", ["a: P one{select 'a'} S", "b: P one{select 'b'} S", "a: B one E S", "b: B one E S", "a: D one B one E S", "b: D one S"] },
        { "the same text under other names", ["a: P one{select 1} S", "b: P two{select 1} S", "b: B two E S", "a: B one E S", "b: B one E S", "a: B two E S"] },
        { "unknown names", ["a: B one E S", "a: D one S", "b: P one{select 'b'} S", "a: B one E S", "b: B one E S", "a: C one S", "b: B one E S", "a: B pooler_1 E S", "a: D pooler_gone S"] },
        { "double names", ["a: P one{select 1} S", "a: P one{select 1} S", "a: P one{select 2} S", "a: B one E S", "b: P one{select 3} S", "b: P one{select 1} S", "b: B one E S", "a: B one E S"] },
        { "double names in one batch", ["a: P one{select 1} P one{select 2} B one E S", "a: B one E S", "a: P one{select 3} S", "a: B one E S"] },
        { "closed", ["a: P one{select 1} S", "a: C one S", "a: B one E S", "a: P one{select 2} S", "a: B one E S", "a: C one C one C two S", "b: P one{select 1} C one P one{select 2} B one E S", "b: B one E S"] },
        { "an error before Parse", ["a: P {select 1/0} B E P one{select 1} S", "a: B one E S", "a: P one{select 2} S", "a: B one E S"] },
        { "an error behind Parse", ["a: P one{select 1} P {select 1/0} B E B one E S", "a: B one E S", "a: P one{select 2} S", "a: B one E S"] },
        { "an error before Close", ["a: P one{select 1} S", "a: P {select 1/0} B E C one S", "a: B one E S", "a: P {select 1/0} B E C one P one{select 2} S", "a: B one E S"] },
        { "an error in the text", ["a: P one{selec 1} S", "a: B one E S", "a: P one{select 1} S", "b: P one{selec 1} S", "b: B one E S", "a: B one E S"] },
        { "an error before a shared one", ["b: P two{select 2} S", "a: P {select 1/0} B E P one{select 2} S", "a: B one E S", "a: P one{select 2} S", "a: B one E S"] },
        { "in a transaction", ["a: Q {begin}", "a: P one{select 1} S", "a: B one E S", "a: Q {rollback}", "a: B one E S"] },
        { "in a failed transaction", ["a: P one{select 1} P end{rollback} S", "a: Q {begin; select 1/0}", "a: B one E S", "a: P two{select 1} S", "a: P three{rollback} S", "a: B end E S", "a: B one E S", "a: B two E S", "a: B three E S"] },
        { "batches in a row", ["a: P one{select 1} S B one E S P one{select 2} S B one E S C one S B one E S P one{select 3} S B one E S", "a: B one E S"] },
        { "batches in a row behind an error", ["a: P {select 1/0} B E P one{select 1} S B one E S P one{select 2} S B one E S", "a: B one E S"] },
        { "queries in a row", ["a: P one{select 1} S Q {select 2} B one E S Q {deallocate all} B one E S P one{select 3} S B one E S"] },
        { "portals", ["a: P one{select generate_series(1, 3)} S", "a: Q {begin}", "a: B/p one E/p C one E/p S", "a: D/p S", "a: Q {commit}", "a: B one E S"] },
        { "flush", ["a: P one{select 1} H B one H E H D one H S", "b: P one{select 1} H S", "b: B one E H C one H B one S"] },
        { "deallocate", ["a: P one{select 1} S", "b: P one{select 1} S", "a: Q {deallocate one}", "a: B one E S", "b: B one E S", "a: Q {deallocate one}", "b: Q {DEALLOCATE PREPARE \"one\";}", "b: B one E S", "b: P one{select 2} S", "b: B one E S"] },
        { "deallocate in a transaction", ["a: P one{select 1} P two{select 2} S", "a: Q {begin}", "a: Q {deallocate one}", "a: Q {select 1/0}", "a: Q {deallocate two}", "a: Q {rollback}", "a: B one E S", "a: B two E S"] },
        { "deallocate by parse", ["a: P one{select 1} P two{select 2} S", "a: P {deallocate one} B E P {deallocate two} B E S", "a: B one E S", "a: B two E S", "a: P {deallocate one} B E S"] },
        { "deallocate in the midst of a batch", ["a: P one{select 1} S", "a: P {deallocate one} B E C one P one{select 2} B one E S", "a: B one E P {deallocate one} B E B one E S", "a: B one E S", "a: P one{select 3} S", "a: P {deallocate one} B E P one{select 4} S", "a: B one E S"] },
        { "deallocate another's", ["a: P one{select 1} S", "b: Q {deallocate one}", "a: B one E S", "b: P {deallocate one} B E S", "a: B one E S"] },
        { "deallocate all", ["a: P one{select 1} S", "b: P one{select 2} P two{select 2} S", "a: Q {deallocate all}", "a: B one E S", "b: B one E S", "b: B two E S", "a: P one{select 3} S", "a: B one E S"] },
        { "discard all", ["a: P one{select 1} S", "a: Q {discard all}", "a: B one E S", "a: P one{select 2} S", "a: B one E S", "a: P {discard all} B E S", "a: B one E S"] },
        { "discard all and more in one", ["a: Q {discard all} P one{select 1} S B one E S", "a: B one E S", "a: Q {discard all} P one{select 2} B one E S", "a: B one E S", "b: P two{select 2} S", "a: Q {discard all} P two{select 2} P one{select 2} B one E S", "a: B two E S", "b: B two E S", "b: Q {discard all} Q {deallocate all} B two E S"] },
        { "deallocate all in a batch", ["a: P one{select 1} S", "a: P {deallocate all} B E P one{select 2} B one E S", "a: B one E S"] },
        { "pinned: sql prepares", ["a: Q {prepare one as select 1}", "b: P one{select 'b'} S", "a: Q {execute one}", "b: B one E S", "a: Q {prepare one as select 2}", "a: B one E S", "a: P two{select 2} B two E S", "a: Q {deallocate one}", "a: Q {execute one}"] },
        { "sql executes what the protocol prepared", ["a: P one{select 'a'} S", "b: P one{select 'b'} S", "a: Q {execute one}", "b: Q {execute one}", "a: Q {execute one; execute one}", "a: P {execute one} B E S", "b: Q {execute two}", "a: B one E S"] },
        { "pinned: sql meets no name of another", ["a: P one{select 'a'} S", "b: Q {execute one}", "b: Q {prepare one as select 'b'}", "b: Q {execute one}", "a: B one E S", "b: Q {discard all}", "b: Q {execute one}"] },
        { "pinned: a prepared statement of a statement", ["a: P one{select 1} P run{execute one} S", "a: B run E S", "a: B one E S", "b: B run E S", "a: B run E S"] },
        { "long names", ["a: P " + new string('n', 63) + "{select 1} S", "b: B " + new string('n', 63) + " E S", "b: B " + new string('n', 80) + " E S", "a: B " + new string('n', 63) + " E S"] },
    };

    [Theory, MemberData(nameof(Scripts))]
    public async Task AnswersAsPostgres(string what, string[] steps)
    {
        Assert.SkipWhen(PoolerProcess.IsPgBouncer, "PgBouncer closes clients over such names");
        string database = await postgres.CreateDatabaseAsync();
        foreach (string limit in (string[])["200", "1"])
        {
            await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: what.StartsWith("pinned", StringComparison.Ordinal) ? 2 : 1,
                adjust: ini => ini.Settings["max_prepared_statements"] = limit);
            using PgWire a = await pooler.LoginAsync(database), b = await pooler.LoginAsync(database);
            using PgWire ownA = await DirectAsync(database), ownB = await DirectAsync(database);
            foreach (string step in steps)
            {
                string wanted = string.Join(' ', await Script.RunAsync(step[0] == 'a' ? ownA : ownB, step[2..]));
                string got = string.Join(' ', await Script.RunAsync(step[0] == 'a' ? a : b, step[2..]));
                Assert.True(wanted == got, $"{limit} statements, {step}\nPostgreSQL: {wanted}\nPooler:     {got}\n{pooler.Log}");
            }
        }
    }

    private async Task<PgWire> DirectAsync(string database)
    {
        PgWire wire = await PgWire.ConnectAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, postgres.Port));
        await wire.LoginAsync(database, PostgresCluster.User);
        return wire;
    }
}
