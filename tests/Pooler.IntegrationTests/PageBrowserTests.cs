namespace Pooler.IntegrationTests;

/// <summary>The live page in Chromium, over a pooler that has work: tests/Browser/page.js looks and clicks. The pictures are kept in TestResults/page.</summary>
public sealed class PageBrowserTests(PostgresCluster postgres)
{
    private const string Hostile = "<img src=x onerror=window.broken=1>";

    [Fact]
    public async Task IsSeenAndUsed()
    {
        string database = await postgres.CreateDatabaseAsync(), pictures = Directory.CreateDirectory(Repository.PathOf("TestResults", "page")).FullName;
        await using ReplicaSet set = await ReplicaSet.StartAsync(standbys: 1);
        var ini = new PoolerIni();
        string entry = $"host=127.0.0.1 port={postgres.Port} dbname={database} user={PostgresCluster.User}";
        ini.Databases["split"] = set.Entry("routing=read_write_split");
        ini.Databases["small"] = $"{entry} pool_size=1";
        ini.Databases["*"] = entry;
        ini.Passwords[Hostile] = "";
        int port = FreePort.Next();
        ini.Settings["http_listen_port"] = $"{port}";
        ini.Settings["health_check_interval"] = "0.5";

        PoolerProcess pooler = await PoolerProcess.StartAsync(ini);
        ChildProcess? browser = null;
        using var end = new CancellationTokenSource();
        try
        {
            using PgWire pinned = await PgWire.ConnectAsync(pooler.EndPoint);
            await pinned.LoginAsync("split", PostgresCluster.User, ("application_name", Hostile));
            await pinned.QueryAsync("LISTEN news");
            using PgWire hostile = await pooler.LoginAsync(Hostile, Hostile);
            await hostile.QueryAsync("SELECT 1");
            using PgWire holding = await pooler.LoginAsync("small"), waiting = await pooler.LoginAsync("small");
            await holding.QueryAsync("BEGIN");
            await waiting.SendAsync(new PgRequest().Query("SELECT 1"));
            Task[] load = [.. Enumerable.Range(0, 3).Select(_ => WorkAsync(pooler, "split", end.Token))];

            browser = ChildProcess.StartAsWeAre(pictures, ["node", Repository.PathOf("tests", "Browser", "page.js"), $"http://127.0.0.1:{port}/", pictures, Hostile]);
            await SaysAsync(browser, "end it");
            await end.CancelAsync();
            await Task.WhenAll(load);
            await pooler.DisposeAsync();
            await SaysAsync(browser, "start it");
            pooler = await PoolerProcess.StartAsync(ini);
            Assert.True(await browser.WaitForExitAsync(Patience.Long), browser.Log);
            Assert.True(browser.ExitCode == 0, $"{browser.Log}\n{pooler.Log}");
        }
        finally
        {
            await end.CancelAsync();
            await pooler.DisposeAsync();
            if (browser is not null)
                await browser.DisposeAsync();
        }

        Assert.Equal(["desktop-dark.png", "desktop-light.png", "lost.png", "phone-dark.png", "phone-light.png"], Directory.GetFiles(pictures, "*.png").Select(Path.GetFileName).Order());
    }

    private static Task<string> SaysAsync(ChildProcess browser, string word) =>
        Eventually.BecomesAsync($"it says '{word}'", () => Task.FromResult(browser.Log), log => log.Split('\n').Contains(word) || browser.HasExited, Patience.Long);

    private static async Task WorkAsync(PoolerProcess pooler, string database, CancellationToken end)
    {
        using PgWire client = await pooler.LoginAsync(database);
        while (!end.IsCancellationRequested)
        {
            Assert.Null((await client.QueryAsync("SELECT count(*) FROM pg_class")).Error);
            Assert.Null((await client.QueryAsync("BEGIN; SELECT txid_current(); COMMIT")).Error);
            await Task.Delay(5, CancellationToken.None);
        }
    }
}
