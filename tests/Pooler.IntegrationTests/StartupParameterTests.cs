using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>What a client asks for in its first packet follows it to every server, and nothing else gets there.</summary>
public sealed class StartupParameterTests(PostgresCluster postgres)
{
    private const int GssEncCode = 80877104;

    /// <summary>A parameter, what two clients ask for, and what each must see.</summary>
    public static readonly TheoryData<string, string, string, string, string> Followed = new()
    {
        { "client_encoding", "LATIN1", "LATIN1", "UTF8", "UTF8" },
        { "DateStyle", "German", "German, DMY", "ISO, YMD", "ISO, YMD" },
        { "datestyle", "ISO, DMY", "ISO, DMY", "SQL, MDY", "SQL, MDY" },
        { "TimeZone", "Asia/Tokyo", "Asia/Tokyo", "America/New_York", "America/New_York" },
        { "timezone", "UTC", "UTC", "+3", "<+03>-03" },
        { "IntervalStyle", "iso_8601", "iso_8601", "sql_standard", "sql_standard" },
        { "application_name", "first", "first", "it's \\ 2nd", "it's \\ 2nd" },
        { "standard_conforming_strings", "off", "off", "on", "on" },
    };

    [Theory, MemberData(nameof(Followed))]
    public Task EachSeesItsOwnOnOneServer(string name, string one, string seenByOne, string other, string seenByOther) => WithOneServerAsync(async (pooler, database) =>
    {
        foreach (bool byOptions in (bool[])[false, true])
        {
            using PgWire plain = await pooler.LoginAsync(database);
            string unasked = (await plain.QueryAsync($"SHOW {name}")).Scalar!;
            using PgWire first = await LoginWithAsync(pooler, database, byOptions, name, one), second = await LoginWithAsync(pooler, database, byOptions, name, other);
            int server = await first.ServerAsync();
            for (int round = 0; round < 3; round++)
            {
                Assert.Equal(seenByOne, (await first.QueryAsync($"SHOW {name}")).Scalar);
                Assert.Equal(seenByOther, (await second.QueryAsync($"SHOW {name}")).Scalar);
                await second.SendAsync(new PgRequest().Parse("", $"SHOW {name}").Bind("", "").Execute().Sync());
                Assert.Equal(seenByOther, (await second.ReadReplyAsync()).Scalar);
                Assert.Equal(unasked, (await plain.QueryAsync($"SHOW {name}")).Scalar);
            }

            Assert.Equal(server, await second.ServerAsync());
        }
    });

    [Fact]
    public Task TheWelcomeTellsWhatWasAskedFor() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply welcome = await wire.LoginAsync(database, PostgresCluster.User, ("TimeZone", "Asia/Tokyo"), ("application_name", "mine"));
        Dictionary<string, string> told = Parameters(welcome);
        Assert.Equal("Asia/Tokyo", told["TimeZone"]);
        Assert.Equal("mine", told["application_name"]);
        foreach (string name in (string[])["server_version", "server_encoding", "client_encoding", "DateStyle", "IntervalStyle", "standard_conforming_strings",
            "integer_datetimes", "is_superuser", "session_authorization"])
            Assert.Contains(name, told.Keys);
    });

    /// <summary>A change is told at once, and it follows the client too.</summary>
    [Theory]
    [InlineData("SET TimeZone TO 'Asia/Tokyo'")]
    [InlineData("SELECT set_config('TimeZone', 'Asia/Tokyo', false)")]
    [InlineData("BEGIN; SET TimeZone TO 'Asia/Tokyo'; COMMIT")]
    public Task AChangeIsToldAndKept(string change) => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire first = await pooler.LoginAsync(database), second = await pooler.LoginAsync(database);
        string before = (await second.QueryAsync("SHOW TimeZone")).Scalar!;
        Assert.Equal("Asia/Tokyo", Parameters(await first.QueryAsync(change))["TimeZone"]);
        for (int round = 0; round < 3; round++)
        {
            PgReply reply = await second.QueryAsync("SHOW TimeZone");
            Assert.Equal(before, reply.Scalar);
            Assert.Equal("TDCZ", reply.Types);
            reply = await first.QueryAsync("SHOW TimeZone");
            Assert.Equal("Asia/Tokyo", reply.Scalar);
            Assert.Equal("TDCZ", reply.Types);
        }
    });

    [Fact]
    public Task AChangeThatIsRolledBackIsToldToo() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire first = await LoginWithAsync(pooler, database, false, "TimeZone", "Europe/Paris"), second = await pooler.LoginAsync(database);
        await first.QueryAsync("BEGIN");
        Assert.Equal("Asia/Tokyo", Parameters(await first.QueryAsync("SET TimeZone TO 'Asia/Tokyo'"))["TimeZone"]);
        Assert.Equal("Europe/Paris", Parameters(await first.QueryAsync("ROLLBACK"))["TimeZone"]);
        await second.QueryAsync("SELECT 1");
        Assert.Equal("Europe/Paris", (await first.QueryAsync("SHOW TimeZone")).Scalar);
    });

    [Theory]
    [InlineData("client_encoding", "nonsense", false)]
    [InlineData("client_encoding", "nonsense", true)]
    [InlineData("TimeZone", "nonsense", false)]
    [InlineData("DateStyle", "nonsense", false)]
    [InlineData("IntervalStyle", "nonsense", false)]
    [InlineData("standard_conforming_strings", "nonsense", false)]
    public Task ARefusedValueEndsItsClientAndNothingElse(string name, string value, bool byOptions) => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire witness = await pooler.LoginAsync(database);
        await witness.QueryAsync("CREATE TABLE t ()");
        int server = await witness.ServerAsync();

        using (PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            (string, string) asked = byOptions ? ("options", $"-c {name}={value}") : (name, value);
            await wire.SendAsync(PgRequest.Startup(("user", PostgresCluster.User), ("database", database), asked));
            await wire.SendAsync(new PgRequest().Query("INSERT INTO t DEFAULT VALUES"));
            PgMessage error = await wire.ReadFatalAsync();
            Assert.Equal("22023", error.SqlState);
            Assert.Contains(name, error.Fields()['M'], StringComparison.OrdinalIgnoreCase);
        }

        Assert.Equal(server, await witness.ServerAsync());
        Assert.Equal("0", (await witness.QueryAsync("SELECT count(*) FROM t")).Scalar);
    });

    public static readonly TheoryData<string, string> Strings = new()
    {
        { "'; CREATE TABLE hacked (); --", "on" },
        { "\\'; CREATE TABLE hacked (); --", "on" },
        { "\\\\'; CREATE TABLE hacked (); --", "on" },
        { "'; CREATE TABLE hacked (); --", "off" },
        { "\\'; CREATE TABLE hacked (); --", "off" },
        { "\\\\'; CREATE TABLE hacked (); --", "off" },
        { "\\", "off" },
        { "\\", "on" },
        { "'", "off" },
        { "''", "on" },
        { "$$; CREATE TABLE hacked (); $$", "on" },
        { "E'\\047; CREATE TABLE hacked (); --", "on" },
        { "U&'\\0027; CREATE TABLE hacked (); --", "on" },
    };

    /// <summary>On a server that the last client has left with a setting that changes what quotes and backslashes mean.</summary>
    [Theory, MemberData(nameof(Strings))]
    public Task AValueIsNoStatement(string value, string conformingStrings) => WithOneServerAsync(async (pooler, database) =>
    {
        foreach (string encoding in (string[])["UTF8", "SJIS", "GBK"])
        {
            using PgWire before = await PgWire.ConnectAsync(pooler.EndPoint);
            await before.LoginAsync(database, PostgresCluster.User, ("client_encoding", encoding), ("standard_conforming_strings", conformingStrings));
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            await wire.LoginAsync(database, PostgresCluster.User, ("application_name", value), ("standard_conforming_strings", conformingStrings));
            for (int round = 0; round < 2; round++)
            {
                Assert.Equal(encoding, (await before.QueryAsync("SHOW client_encoding")).Scalar);
                PgReply reply = await wire.QueryAsync("SHOW application_name");
                Assert.True(reply.Error is null, $"{reply}");
                Assert.Equal(value, reply.Scalar);
            }

            Assert.Equal("t", (await wire.QueryAsync("SELECT to_regclass('hacked') IS NULL")).Scalar);
        }
    });

    /// <summary>Bytes of which SJIS, GBK and others make one character with the quote's or the backslash behind them.</summary>
    [Theory]
    [InlineData("SJIS", new byte[] { 0x83, 0x5c })]
    [InlineData("BIG5", new byte[] { 0xa5, 0x5c })]
    [InlineData("GBK", new byte[] { 0xbf, 0x5c })]
    [InlineData("GBK", new byte[] { 0xbf, 0x27 })]
    [InlineData("UTF8", new byte[] { 0xff, 0xfe })]
    [InlineData("UTF8", new byte[] { 0xe2, 0x82 })]
    public Task HalfACharacterIsNoStatementEither(string encoding, byte[] front) => WithOneServerAsync(async (pooler, database) =>
    {
        byte[] value = [.. front, .. "'; CREATE TABLE hacked (); --"u8];
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(RawStartup(("user", Encoding.ASCII.GetBytes(PostgresCluster.User)), ("database", Encoding.ASCII.GetBytes(database)),
            ("client_encoding", Encoding.ASCII.GetBytes(encoding)), ("application_name", value)));
        // A startup packet that is no UTF-8 is refused; were it taken, all of it would have to be a name.
        PgMessage error = await wire.ReadFatalAsync();
        Assert.Equal("08P01", error.SqlState);
        using PgWire next = await pooler.LoginAsync(database);
        Assert.Equal("t", (await next.QueryAsync("SELECT to_regclass('hacked') IS NULL")).Scalar);
    });

    [Theory]
    [InlineData("search_path", "evil")]
    [InlineData("work_mem", "1MB")]
    [InlineData("role", "postgres")]
    [InlineData("session_authorization", "postgres")]
    [InlineData("is_superuser", "on")]
    public Task AnUnsupportedParameterIsRefused(string name, string value) => WithOneServerAsync(async (pooler, database) =>
    {
        foreach (bool byOptions in (bool[])[false, true])
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            PgReply reply = await wire.StartAsync(("user", PostgresCluster.User), ("database", database), byOptions ? ("options", $"-c {name}={value}") : (name, value));
            PgMessage error = Assert.Single(reply.Messages);
            Assert.Equal("FATAL", error.Fields()['S']);
            Assert.Equal((byOptions ? $"unsupported startup parameter in options: {name}" : $"unsupported startup parameter: {name}", "08P01"),
                (error.Fields()['M'], error.SqlState));
        }
    }, rule: "refuse");

    [Fact]
    public Task AnIgnoredParameterIsIgnored() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync(database, PostgresCluster.User, ("search_path", "evil"), ("options", "-c work_mem=1MB -c TimeZone=Asia/Tokyo"));
        Assert.Equal("\"$user\", public", (await wire.QueryAsync("SHOW search_path")).Scalar);
        Assert.Equal("4MB", (await wire.QueryAsync("SHOW work_mem")).Scalar);
        Assert.Equal("Asia/Tokyo", (await wire.QueryAsync("SHOW TimeZone")).Scalar);
    }, "search_path, work_mem");

    [Theory]
    [InlineData("-ctimezone=Asia/Tokyo -c DateStyle=ISO,\\ DMY")]
    [InlineData("--timezone=Asia/Tokyo --date-style=x --datestyle=ISO,DMY", "date_style")]
    public Task OptionsAreReadAsPostgreSqlReadsThem(string options, string ignored = "") => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync(database, PostgresCluster.User, ("options", options));
        Assert.Equal("Asia/Tokyo", (await wire.QueryAsync("SHOW TimeZone")).Scalar);
        Assert.Equal("ISO, DMY", (await wire.QueryAsync("SHOW DateStyle")).Scalar);
    }, ignored);

    [Fact]
    public Task DigitsOfFloatsHurtNobody() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync(database, PostgresCluster.User, ("extra_float_digits", "2"));
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    [Theory]
    [InlineData("database")]
    [InlineData("true")]
    [InlineData("on")]
    [InlineData("1")]
    public Task ReplicationIsRefusedByItsCode(string value) => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgMessage error = Assert.Single((await wire.StartAsync(("user", PostgresCluster.User), ("database", database), ("replication", value))).Messages);
        Assert.Equal(("FATAL", "0A000"), (error.Fields()['S'], error.SqlState));
    });

    [Theory]
    [InlineData("false")]
    [InlineData("off")]
    [InlineData("0")]
    public Task NoReplicationIsAnOrdinaryLogin(string value) => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.LoginAsync(database, PostgresCluster.User, ("replication", value));
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    [Theory]
    [InlineData((3 << 16) + 3, 2, new string[0])]
    [InlineData((3 << 16) + 9999, 2, new string[0])]
    [InlineData((3 << 16) + 9999, 2, new[] { "_pq_.test_protocol_negotiation" })]
    [InlineData(3 << 16, 0, new[] { "_pq_.first", "_pq_.second" })]
    [InlineData((3 << 16) + 2, 2, new[] { "_pq_.first" })]
    public Task ANewerProtocolIsNegotiated(int version, int minor, string[] options) => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(version,
            [("user", PostgresCluster.User), ("database", database), .. options.Select(static name => (name, "1"))]));
        PgReply reply = await wire.ReadReplyAsync();
        PgMessage negotiate = reply.Messages[0];
        Assert.Equal('v', negotiate.Type);
        Assert.Equal((3 << 16) + minor, BinaryPrimitives.ReadInt32BigEndian(negotiate.Body));
        Assert.Equal(options.Length, BinaryPrimitives.ReadInt32BigEndian(negotiate.Body.AsSpan(4)));
        Assert.Equal(string.Concat(options.Select(static name => name + "\0")), Encoding.ASCII.GetString(negotiate.Body.AsSpan(8)));
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    [Fact]
    public Task EncryptionIsDeclinedByALetter() => WithOneServerAsync(async (pooler, database) =>
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        foreach (int code in (int[])[GssEncCode, PgRequest.SslCode])
        {
            byte[] request = new byte[8];
            BinaryPrimitives.WriteInt32BigEndian(request, 8);
            BinaryPrimitives.WriteInt32BigEndian(request.AsSpan(4), code);
            await wire.SendAsync(request);
            Assert.Equal('N', await wire.ReadByteAsync());
        }

        await wire.LoginAsync(database, PostgresCluster.User);
        Assert.Equal("1", (await wire.QueryAsync("SELECT 1")).Scalar);
    });

    private static Dictionary<string, string> Parameters(PgReply reply) => reply.Messages.Where(static message => message.Type == 'S')
        .Select(static message => message.Text().Split('\0')).ToDictionary(static pair => pair[0], static pair => pair[1]);

    private static async Task<PgWire> LoginWithAsync(PoolerProcess pooler, string database, bool byOptions, string name, string value)
    {
        PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        string escaped = value.Replace("\\", "\\\\").Replace(" ", "\\ ");
        await wire.LoginAsync(database, PostgresCluster.User, byOptions ? ("options", $"-c {name}={escaped}") : (name, value));
        return wire;
    }

    private static byte[] RawStartup(params (string Name, byte[] Value)[] parameters)
    {
        var body = new ArrayBufferWriter<byte>();
        PgRequest.WriteInt32(body, PgRequest.Protocol30);
        foreach ((string name, byte[] value) in parameters)
        {
            PgRequest.WriteText(body, name);
            body.Write(value);
            PgRequest.WriteByte(body, 0);
        }

        PgRequest.WriteByte(body, 0);
        byte[] packet = new byte[body.WrittenCount + 4];
        BinaryPrimitives.WriteInt32BigEndian(packet, packet.Length);
        body.WrittenSpan.CopyTo(packet.AsSpan(4));
        return packet;
    }

    private async Task WithOneServerAsync(Func<PoolerProcess, string, Task> test, string ignored = "", string rule = "follow")
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, poolSize: 1,
            adjust: ini => (ini.Settings["ignore_startup_parameters"], ini.Settings["startup_parameters"]) = (ignored, rule));
        await test(pooler, database);
        Assert.InRange(await postgres.CountServersAsync(database), 0, 1);
    }
}
