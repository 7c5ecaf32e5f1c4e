namespace Pooler.IntegrationTests;

/// <summary>
/// Clients that pipeline, fail, cancel and leave at random over few servers that keep few statements, on several I/O threads: each
/// gets its own rows in order, no cancel hits another's request, and nothing is written twice.
/// </summary>
public sealed class PreparedUnderFireTests(PostgresCluster postgres)
{
    private const int Clients = 12, Rounds = 50;

    [Theory]
    [InlineData("transaction", 3)]
    [InlineData("statement", 2)]
    public async Task EachGetsItsOwn(string mode, int servers)
    {
        string database = await postgres.CreateDatabaseAsync();
        await postgres.ExecuteAsync(database, "CREATE TABLE log (id bigint); GRANT ALL ON log TO PUBLIC");
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, mode, poolSize: servers, adjust: static ini =>
        {
            ini.Settings["workers"] = "4";
            ini.Settings["max_prepared_statements"] = "4";
        });
        Client[] clients = [.. Enumerable.Range(0, Clients).Select(i => new Client(pooler, database, i))];
        await Task.WhenAll(clients.Select(static client => Task.Run(client.RunAsync)));
        await Eventually.BecomesAsync("an idle pool", () => pooler.PoolCountsAsync(database), static counts => counts.NobodyIsHere);
        Assert.Equal(0L, await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM (SELECT id FROM log GROUP BY id HAVING count(*) > 1) twice"));
        string confirmed = string.Join(',', clients.SelectMany(static client => client.Written).DefaultIfEmpty(-1));
        Assert.Equal(0L, await postgres.ScalarAsync<long>(database, $"SELECT count(*) FROM unnest('{{{confirmed}}}'::bigint[]) id WHERE id >= 0 AND id NOT IN (SELECT id FROM log)"));
        Assert.DoesNotContain("defect", pooler.Log, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("protocol violation", pooler.Log, StringComparison.Ordinal);
    }

    /// <summary>A batch up to its Sync, and what PostgreSQL answers to it.</summary>
    private sealed class Batch
    {
        public List<string> Rows { get; } = [];

        public List<long> Writes { get; } = [];

        public string? Error { get; set; }
    }

    private sealed class Client(PoolerProcess pooler, string database, int number)
    {
        private const int Names = 8;

        private readonly Random _random = new(number);
        private readonly Dictionary<string, string> _names = [];
        private PgWire? _wire;
        private long _id = number * 1_000_000L;

        public List<long> Written { get; } = [];

        public async Task RunAsync()
        {
            for (int round = 0; round < Rounds; round++)
            {
                _wire ??= await pooler.LoginAsync(database);
                await RunRoundAsync();
            }

            _wire?.Dispose();
        }

        private async Task RunRoundAsync()
        {
            bool cancels = _random.Next(6) == 0, leaves = _random.Next(25) == 0;
            var request = new PgRequest();
            Batch[] batches = [.. Enumerable.Range(0, _random.Next(1, 5)).Select(_ => AddBatch(request, cancels))];
            byte[] bytes = request.ToArray();
            int cut = _random.Next(3) == 0 ? _random.Next(bytes.Length) : bytes.Length;
            await _wire!.SendAsync(bytes.AsMemory(0, cut));
            Task cancelling = cancels ? CancelAsync(_wire.Key) : Task.CompletedTask;
            if (leaves)
            {
                await cancelling;
                _wire.Dispose();
                _wire = null;
                _names.Clear();
                return;
            }

            await _wire.SendAsync(bytes.AsMemory(cut));
            bool isCanceled = false;
            foreach (Batch batch in batches)
            {
                PgReply reply = await _wire.ReadReplyAsync();
                string? error = reply.Error?.SqlState;
                string[] rows = [.. reply.Rows.Select(static row => row[0]!)];
                isCanceled |= cancels && error == "57014";
                if (!isCanceled)
                {
                    Assert.True(error == batch.Error && rows.SequenceEqual(batch.Rows), $"expected {batch.Error} {string.Join('|', batch.Rows)}, got {reply}");
                }

                if (error == null)
                    Written.AddRange(batch.Writes);
            }

            await cancelling;
            if (isCanceled)
                await StartAfreshAsync();
        }

        /// <summary>Nobody knows how far a cancelled batch has come.</summary>
        private async Task StartAfreshAsync()
        {
            var request = new PgRequest();
            for (int i = 0; i < Names; i++)
                request.Close('S', $"s{i}");
            await _wire!.SendAsync(request.Sync());
            Assert.Equal(new string('3', Names) + "Z", (await _wire.ReadReplyAsync()).Types);
            _names.Clear();
        }

        private async Task CancelAsync(byte[] key)
        {
            await Task.Yield();
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            await wire.SendAsync(PgRequest.Cancel(key));
            Assert.Empty(await wire.ReadToEndAsync());
        }

        private Batch AddBatch(PgRequest request, bool isSlow)
        {
            var batch = new Batch();
            for (int step = _random.Next(1, 8); step > 0; step--)
            {
                var part = new PgRequest();
                string name = $"s{_random.Next(Names)}", value = _random.Next(20) == 0 ? new string('v', 40_000) : $"{_random.Next()}";
                bool isKnown = _names.TryGetValue(name, out string? text);
                string? error = null, row = null, named = null;
                bool closes = false;
                long written = -1;
                switch (_random.Next(10))
                {
                    case 0 or 1 or 2 when isKnown:
                        part.Bind("", name, value).Execute();
                        row = text + value;
                        break;
                    case 0 or 1 or 2 or 3:
                        error = isKnown ? "42P05" : null;
                        named = _random.Next(2) == 0 ? $"all {name}" : $"{number} {name} {_random.Next(3)}";
                        part.Parse(name, $"SELECT '{named}'::text || $1::text");
                        break;
                    case 4:
                        part.Close('S', name);
                        closes = true;
                        break;
                    case 5:
                        part.Parse("", $"SELECT '{number} unnamed'::text || $1").Bind("", "", value).Describe('P', "").Execute();
                        row = $"{number} unnamed{value}";
                        break;
                    case 6:
                        error = _random.Next(3) switch { 0 => "22012", 1 => "42601", _ => "26000" };
                        part = error == "22012" ? part.Parse("", "SELECT 1 / 0").Bind("", "").Execute()
                            : error == "42601" ? part.Parse($"wrong{_random.Next(3)}", "SELEC") : part.Bind("", "nobodys").Execute();
                        break;
                    case 7:
                        written = _id++;
                        part.Parse("", "INSERT INTO log VALUES ($1::bigint)").Bind("", "", $"{written}").Execute();
                        break;
                    case 8 when isSlow:
                        part.Parse("", "SELECT pg_sleep(0.05)::text").Bind("", "").Execute();
                        row = "";
                        break;
                    default:
                        part.Flush();
                        break;
                }

                request.Message(part);
                if (batch.Error != null)
                    continue;
                batch.Error = error;
                if (error != null)
                    continue;
                if (row != null)
                    batch.Rows.Add(row);
                if (named != null)
                    _names[name] = named;
                if (closes)
                    _names.Remove(name);
                if (written >= 0)
                    batch.Writes.Add(written);
            }

            request.Sync();
            return batch;
        }
    }
}
