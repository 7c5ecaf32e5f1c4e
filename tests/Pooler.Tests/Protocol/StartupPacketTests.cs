using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Pooler.Protocol;
using Xunit;

namespace Pooler.Tests.Protocol;

public sealed class StartupPacketTests
{
    private const string NoTerminator = "invalid startup packet layout: expected terminator as last byte";
    private const string NotAllowed = "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";

    [Fact]
    public void ParametersKeepTheirOrder()
    {
        byte[] body = Body(3, 2, "user\0bob\0application_name\0é\0database\0shop\0options\0-c a=b\0_pq_.x\0\0\0");
        Assert.True(StartupPacket.TryParse(body, out StartupPacket? packet, out string problem));
        Assert.Equal("", problem);
        Assert.Equal((3, 2, "bob", "shop", "-c a=b"), (packet.Major, packet.Minor, packet.User, packet.Database, packet.Options));
        Assert.Equal(["user", "application_name", "database", "options", "_pq_.x"], packet.Parameters.Select(p => p.Name));
        Assert.Equal("é", packet.Find("application_name"));
        Assert.Null(packet.Find("nothing"));
        Assert.Equal(ReplicationMode.None, packet.Replication);
    }

    [Theory]
    [InlineData("user\0bob\0\0")]
    [InlineData("user\0bob\0database\0\0\0")]
    public void DatabaseDefaultsToTheUser(string parameters)
    {
        Assert.True(StartupPacket.TryParse(Body(3, 0, parameters), out StartupPacket? packet, out _));
        Assert.Equal("bob", packet.Database);
        Assert.Null(packet.Options);
    }

    [Theory]
    [InlineData("", NoTerminator)]
    [InlineData("\0\0", NoTerminator)]
    [InlineData("\0", "no PostgreSQL user name specified in startup packet")]
    [InlineData("user\0\0\0", "no PostgreSQL user name specified in startup packet")]
    [InlineData("database\0shop\0\0", "no PostgreSQL user name specified in startup packet")]
    [InlineData("user", NoTerminator)]
    [InlineData("user\0", NoTerminator)]
    [InlineData("user\0bob", NoTerminator)]
    [InlineData("user\0bob\0", NoTerminator)]
    [InlineData("user\0bob\0database\0", NoTerminator)]
    [InlineData("user\0bob\0database\0\0", NoTerminator)]
    [InlineData("user\0bob\0\0more", NoTerminator)]
    [InlineData("user\0bob\0\0\0", NoTerminator)]
    [InlineData("user\0bob\0user\0eve\0\0", "invalid startup packet layout: parameter \"user\" given twice")]
    [InlineData("user\0bob\0database\0a\0database\0b\0\0", "invalid startup packet layout: parameter \"database\" given twice")]
    [InlineData("user\0bob\0replication\0maybe\0\0", "invalid value for parameter \"replication\": \"maybe\"")]
    public void ABrokenPacketIsRefusedInPostgreSQLsWords(string parameters, string expected)
    {
        Assert.False(StartupPacket.TryParse(Body(3, 0, parameters), out StartupPacket? packet, out string problem));
        Assert.Equal(expected, problem);
        Assert.Null(packet);
    }

    [Theory]
    [InlineData(2, 0, "old V2 protocol not supported")]
    [InlineData(4, 0, "unsupported frontend protocol 4.0: server supports 3.0 to 3.2")]
    [InlineData(0, 0, "unsupported frontend protocol 0.0: server supports 3.0 to 3.2")]
    [InlineData(65535, 65535, "unsupported frontend protocol 65535.65535: server supports 3.0 to 3.2")]
    [InlineData(3, 1, "")]
    [InlineData(3, 9999, "")]
    public void OnlyTheMajorVersionIsRefused(int major, int minor, string expected)
    {
        byte[] body = Body(major, minor, "user\0bob\0\0");
        Assert.Equal(expected.Length == 0, StartupPacket.TryParse(body, out StartupPacket? packet, out string problem));
        Assert.Equal(expected, problem);
        Assert.Equal(expected.Length == 0 ? minor : null, packet?.Minor);
    }

    [Fact]
    public void TextThatIsNotUtf8IsRefused()
    {
        byte[] body = [.. Body(3, 0, "user\0b"), 0xE9, 0, 0];
        Assert.False(StartupPacket.TryParse(body, out _, out string problem));
        Assert.StartsWith("invalid byte sequence for encoding \"UTF8\"", problem);
    }

    [Fact]
    public void ThousandsOfParametersAndLongNamesAreNoHarm()
    {
        string many = string.Concat(Enumerable.Range(0, 65536).Select(i => $"p{i}\0\0"));
        Assert.True(StartupPacket.TryParse(Body(3, 0, $"user\0bob\0{many}\0"), out StartupPacket? packet, out _));
        Assert.Equal(65537, packet.Parameters.Count);
        string name = new('x', 9000);
        Assert.True(StartupPacket.TryParse(Body(3, 0, $"user\0{name}\0\0"), out packet, out _));
        Assert.Equal(name, packet.Database);
    }

    [Theory]
    [InlineData("database", ReplicationMode.Logical)]
    [InlineData("true", ReplicationMode.Physical)]
    [InlineData("ON", ReplicationMode.Physical)]
    [InlineData("1", ReplicationMode.Physical)]
    [InlineData("y", ReplicationMode.Physical)]
    [InlineData("off", ReplicationMode.None)]
    [InlineData("F", ReplicationMode.None)]
    [InlineData("0", ReplicationMode.None)]
    public void ReplicationIsReadAsPostgreSQLReadsIt(string value, ReplicationMode expected)
    {
        Assert.True(StartupPacket.TryParse(Body(3, 0, $"user\0bob\0replication\0{value}\0\0"), out StartupPacket? packet, out _));
        Assert.Equal(expected, packet.Replication);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void ABodyShorterThanItsVersionIsRefused(int length)
    {
        Assert.False(StartupPacket.TryParse(new byte[length], out _, out string problem));
        Assert.Equal(NoTerminator, problem);
        Assert.Equal(0, StartupPacket.ReadCode(new byte[length]));
    }

    [Theory]
    [InlineData(3, false)]
    [InlineData(4, true)]
    [InlineData(32, true)]
    [InlineData(256, true)]
    [InlineData(257, false)]
    public void CancelKeysHaveTheirBounds(int secretLength, bool good)
    {
        byte[] body = [.. Body(1234, 5678, "\0\0\0\u0007"), .. new byte[secretLength]];
        Assert.Equal(StartupPacket.CancelRequest, StartupPacket.ReadCode(body));
        Assert.Equal(good, StartupPacket.TryReadCancelRequest(body, out int processId, out ReadOnlySpan<byte> secret));
        Assert.Equal(good ? (7, secretLength) : (0, 0), (processId, secret.Length));
        Assert.False(StartupPacket.TryReadCancelRequest(Body(3, 0, "12345678"), out _, out _));
    }

    [Fact]
    public void RandomBodiesNeverThrow() => Gen.Byte.Array[0, 200].Sample(body =>
    {
        _ = StartupPacket.TryParse(body, out _, out _);
        _ = StartupPacket.TryParse([0, 3, 0, 0, .. body], out _, out _);
        _ = StartupPacket.TryParse([0, 3, 0, 0, .. "user\0bob\0"u8, .. body, 0], out _, out _);
        _ = StartupPacket.TryReadCancelRequest(body, out _, out _);
        _ = StartupOptions.TryParse(Encoding.Latin1.GetString(body), out _, out _);
    });

    [Theory]
    [InlineData("", "")]
    [InlineData("  \t\n ", "")]
    [InlineData("-c a=b", "a=b")]
    [InlineData("-ca=b", "a=b")]
    [InlineData("--a=b", "a=b")]
    [InlineData("  -c   a=b  --c-d=e ", "a=b|c_d=e")]
    [InlineData(@"-c datestyle=German,\ YMD", "datestyle=German, YMD")]
    [InlineData(@"-c t\imezone=\P\o\r\t\ugal -c dat\estyle\=\Ge\rman", "timezone=Portugal|datestyle=German")]
    [InlineData(@"-c a=\\b", @"a=\b")]
    [InlineData("-c a=", "a=")]
    [InlineData("-c a=b=c", "a=b=c")]
    [InlineData(@"-c a=b\", "a=b")]
    public void OptionsAreSplitAsAServerWould(string options, string expected)
    {
        Assert.True(StartupOptions.TryParse(options, out IReadOnlyList<StartupParameter> settings, out string problem), problem);
        Assert.Equal(expected, string.Join('|', settings.Select(s => $"{s.Name}={s.Value}")));
    }

    [Theory]
    [InlineData("-c")]
    [InlineData("-c timezone")]
    [InlineData("-c =x")]
    [InlineData("--")]
    [InlineData("--a")]
    [InlineData("-d")]
    [InlineData("-d 5")]
    [InlineData("a=b")]
    [InlineData("-c a=b c=d")]
    [InlineData(@"\")]
    public void OtherOptionsAreRefused(string options)
    {
        Assert.False(StartupOptions.TryParse(options, out _, out string problem));
        Assert.Equal(NotAllowed, problem);
    }

    private static byte[] Body(int major, int minor, string rest)
    {
        var version = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(version, unchecked((major << 16) | minor));
        return [.. version, .. Encoding.UTF8.GetBytes(rest)];
    }
}
