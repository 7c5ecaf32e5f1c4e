using System.Text.RegularExpressions;
using Pooler.Net;
using Xunit;

namespace Pooler.Tests.Rooms;

/// <summary>
/// The rooms of src/Pooler (folder = namespace) and who may see whom:
/// Config &lt; Errors &lt; Net &lt; Backend &lt; Cluster &lt; Pooling &lt; Routing &lt; Statements &lt; Session &lt; Frontend, Replication, Admin &lt; Monitoring &lt; Program.
/// Each sees those on its left, rooms between commas do not see each other, Telemetry is seen by all and sees nobody.
/// </summary>
public sealed partial class RoomTests
{
    private static readonly string[][] Order =
        [["Config"], ["Errors"], ["Net"], ["Backend"], ["Cluster"], ["Pooling"], ["Routing"], ["Statements"], ["Session"], ["Frontend", "Replication", "Admin"], ["Monitoring"], [SourceFile.Program]];

    private const string Telemetry = "Telemetry";

    /// <summary>Rooms that run on I/O threads, where nothing may block and no foreign task may be awaited.</summary>
    private static readonly string[] IoRooms = ["Net", "Backend", "Pooling", "Routing", "Statements", "Session", "Frontend", "Replication"];

    /// <summary>The abstract types by which a lower room calls an upper one.</summary>
    private static readonly string[] UpwardTypes =
        ["Net.PollTarget", "Net.RunItem", "Net.WheelTimer", "Backend.ServerOwner", "Pooling.Waiter"];

    [Fact]
    public void EveryFolderIsARoom()
    {
        string[] known = [.. Order.SelectMany(static r => r), Telemetry];
        Assert.All(SourceFile.OfPooler, file => Assert.Contains(file.Room, known));
        Assert.All(SourceFile.OfPooler.Where(static f => f.Room != SourceFile.Program), static file =>
            Assert.Contains($"namespace Pooler.{file.Room};", file.Code));
    }

    [Fact]
    public void ARoomUsesOnlyRoomsOnItsLeft()
    {
        List<string> wrong = [];
        foreach (SourceFile file in SourceFile.OfPooler)
        {
            HashSet<string> visible = VisibleFrom(file.Room);
            foreach (Match match in RoomName().Matches(file.Code))
            {
                string room = match.Groups["room"].Value;
                bool isUsing = match.Groups["using"].Success;
                if (Rooms.Contains(room) && !visible.Contains(room) && (isUsing || TypesOf(room).Contains(match.Groups["next"].Value)))
                {
                    wrong.Add($"{file.Path}: {file.Room} names {match.Value}");
                }
            }
        }

        Assert.Empty(wrong);
    }

    /// <summary>Parents of a namespace are seen without a using: the names themselves are looked for.</summary>
    [Fact]
    public void NoRoomNamesATypeOnItsRight()
    {
        List<string> wrong = [];
        foreach (SourceFile file in SourceFile.OfPooler)
        {
            HashSet<string> visible = VisibleFrom(file.Room);
            HashSet<string> own = [.. visible.SelectMany(TypesOf), .. file.DeclaredTypes];
            string[] hidden = [.. Rooms.Except(visible)];
            wrong.AddRange(
                from name in file.LeadingNames
                where !own.Contains(name) && !MemberOf(file, name)
                from room in hidden
                where TypesOf(room).Contains(name)
                select $"{file.Path}: {file.Room} names {room}.{name}");
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void UpwardCallsGoThroughTheNamedAbstractTypes()
    {
        Type[] types = typeof(IoThread).Assembly.GetTypes();
        HashSet<string> found = [];
        foreach (Type type in types)
        {
            Type? parent = type.BaseType;
            if (parent?.Namespace?.StartsWith("Pooler.", StringComparison.Ordinal) == true && parent.IsAbstract && parent.Namespace != type.Namespace)
            {
                found.Add($"{parent.Namespace["Pooler.".Length..]}.{parent.Name}");
            }
        }

        Assert.Empty(found.Except(UpwardTypes));
        Assert.Contains("Backend.ServerOwner", found);
        Assert.Contains("Pooling.Waiter", found);
    }

    [Fact]
    public void NoInterfaceHasOneHeir()
    {
        Type[] types = typeof(IoThread).Assembly.GetTypes();
        Assert.All(types.Where(static t => t.IsInterface && t.Namespace?.StartsWith("Pooler", StringComparison.Ordinal) == true), face =>
            Assert.True(types.Count(t => t != face && face.IsAssignableFrom(t)) > 1, $"{face} has one heir"));
    }

    /// <summary>System calls, the ring, and the C libraries of LDAP and PAM.</summary>
    [Fact]
    public void OnlyTheSystemCallFilesAreUnsafe()
    {
        string[] allowed = ["LdapLibrary.cs", "LdapServer.cs", "PamLibrary.cs", "Ring.cs", "Syscalls.cs"];
        string[] found = [.. SourceFile.All.Where(static f => f.HasToken("unsafe")).Select(static f => Path.GetFileName(f.Path))];
        Assert.Equal(allowed, found);
        Assert.All(SourceFile.All.Where(f => !allowed.Contains(Path.GetFileName(f.Path))), static file =>
        {
            Assert.False(file.HasToken("MemoryMarshal.CreateSpan") || file.HasToken("DllImport"), file.Path);
            Assert.False(file.HasToken("LibraryImport"), file.Path);
        });
    }

    [Fact]
    public void NoNamespaceSharesATypesName()
    {
        Type[] types = [.. new[] { typeof(IoThread), typeof(Pooler.Protocol.ReplyQueue), typeof(Pooler.Sql.StateScan) }.SelectMany(static t => t.Assembly.GetTypes())];
        HashSet<string> namespaces = [.. types.SelectMany(static t => (t.Namespace ?? "").Split('.')), .. Rooms, "Pooler"];
        Assert.DoesNotContain(types, t => t.Namespace?.StartsWith("Pooler", StringComparison.Ordinal) == true && namespaces.Contains(t.Name));
    }

    [Theory]
    [InlineData(@"\.Wait\(\)")]
    [InlineData(@"\.Result\b(?!\s*[(<])")]
    [InlineData(@"\.GetResult\(\)")]
    [InlineData(@"\bTask\.(Delay|Run|WhenAll|WhenAny|Yield|Factory)\b")]
    [InlineData(@"\bThread\.Sleep\b")]
    [InlineData(@"\bTaskCompletionSource\b")]
    [InlineData(@"\bSemaphoreSlim\b")]
    public void IoThreadsNeitherBlockNorAwaitForeignTasks(string pattern) =>
        // TlsSession takes results of an SslStream that are there already.
        Assert.Empty(SourceFile.OfPooler.Where(f => IoRooms.Contains(f.Room) && !f.Path.EndsWith("Net/TlsSession.cs", StringComparison.Ordinal) && Regex.IsMatch(f.Code, pattern)).Select(f => $"{f.Path}: {pattern}"));

    /// <summary>The pools' lock, that of the prepared statements' catalogue and those of names and of commands' passwords, which only a connect asks for, and that of an issuer's keys, which ordinary threads ask for; the others are of rooms off the I/O threads.</summary>
    [Fact]
    public void OnlyThePoolsLock() =>
        Assert.All(SourceFile.OfPooler.Where(static f => IoRooms.Contains(f.Room) && Regex.IsMatch(f.Code, @"\block\s*\(|\bMonitor\.")), static file =>
            Assert.Contains(file.Path[file.Path.LastIndexOf("src/Pooler/", StringComparison.Ordinal)..], (string[])["src/Pooler/Pooling/Pools.cs", "src/Pooler/Pooling/Pools.Operator.cs", "src/Pooler/Pooling/Pools.Upkeep.cs", "src/Pooler/Backend/StatementCatalogue.cs", "src/Pooler/Net/HostNames.cs", "src/Pooler/Backend/ServerPasswords.cs", "src/Pooler/Frontend/OAuthKeys.cs"]));

    /// <summary>The tests of this class see what they look for.</summary>
    [Fact]
    public void TheScanFindsWhatItLooksFor()
    {
        Assert.Contains("ClientSession", TypesOf("Session"));
        Assert.Contains("SessionPhase", TypesOf("Session"));
        Assert.Contains("PoolKey", TypesOf("Pooling"));
        Assert.Equal(["Config", "Errors", "Net", "Telemetry"], VisibleFrom("Net").Order());
        Assert.DoesNotContain("Admin", VisibleFrom("Frontend"));
        SourceFile login = Assert.Single(SourceFile.OfPooler, static f => f.Path.EndsWith("/ClientLogin.cs", StringComparison.Ordinal));
        Assert.Contains("ClientSession", login.LeadingNames.Concat(RoomName().Matches(login.Code).Select(static m => m.Groups["next"].Value)));
        Assert.DoesNotContain("PBKDF2", login.Code);
    }

    private static string[] Rooms { get; } = [.. Order.SelectMany(static r => r), Telemetry];

    private static Dictionary<string, HashSet<string>> Types { get; } = SourceFile.OfPooler
        .GroupBy(static f => f.Room).ToDictionary(static g => g.Key, static g => g.SelectMany(static f => f.DeclaredTypes).ToHashSet());

    private static HashSet<string> TypesOf(string room) => Types.GetValueOrDefault(room) ?? [];

    private static HashSet<string> VisibleFrom(string room)
    {
        HashSet<string> visible = [room];
        if (room != Telemetry)
        {
            visible.Add(Telemetry);
            visible.UnionWith(Order.TakeWhile(level => !level.Contains(room)).SelectMany(static r => r));
        }

        return visible;
    }

    /// <summary>A property, method or value of this file that happens to share the name.</summary>
    private static bool MemberOf(SourceFile file, string name) =>
        Regex.IsMatch(file.Code, $@"[\w>\]?]\s+{name}\s*(=>|\{{|;|=|\(|,)|^\s*{name}\s*(,|=|$)", RegexOptions.Multiline);

    [GeneratedRegex(@"(?<using>using\s+(static\s+)?)?(?<![\w.])(Pooler\.)?(?<room>[A-Z]\w*)(\.(?<next>[A-Z]\w*)|\s*;)")]
    private static partial Regex RoomName();
}
