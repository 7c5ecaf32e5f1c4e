using System.Diagnostics;

namespace Pooler.IntegrationTests.Harness;

/// <summary>PostgreSQL and PgBouncer refuse to run as root: when the tests do, this is who the programs they start run as.</summary>
internal static class OrdinaryUser
{
    private static readonly string[] Candidates = ["pooler-run", "postgres", "nobody"];

    public static string? Name { get; } = Environment.UserName == "root" ? Choose() : null;

    /// <summary>Skips a test that only root can do: to change to another user, to mount.</summary>
    public static void NeedsRoot() => Assert.SkipWhen(Name is null, "only root can do that: run the tests as root");

    /// <summary>What has to stand before a command line.</summary>
    public static string[] Prefix => Name is null ? [] : ["setpriv", $"--reuid={Name}", $"--regid={GroupOf(Name)}", "--clear-groups", "--"];

    /// <summary>The same with CAP_NET_ADMIN, without which some kernels refuse socket filters; only root can give it.</summary>
    public static string[] PrefixWithNetAdmin => Name is null ? [] : [.. Prefix[..^1], "--inh-caps=+net_admin", "--ambient-caps=+net_admin", "--"];

    /// <summary>A new folder that belongs to this user.</summary>
    public static string CreateFolder()
    {
        // Kept short: the path of a Unix socket has room for 107 bytes.
        string path = Directory.CreateTempSubdirectory("pooler-").FullName;
        if (Name is not null)
        {
            using Process chown = Process.Start("chown", [$"{Name}:{GroupOf(Name)}", path]);
            chown.WaitForExit();
        }

        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        return path;
    }

    private static string Choose()
    {
        var known = File.ReadLines("/etc/passwd").Select(static line => line.Split(':')[0]).ToHashSet();
        return Candidates.First(known.Contains);
    }

    public static string GroupOf(string user) => File.ReadLines("/etc/passwd").Select(static line => line.Split(':')).First(fields => fields[0] == user)[3];
}
