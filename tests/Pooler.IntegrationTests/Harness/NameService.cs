namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// What names stand for, said by a test: a getaddrinfo of our own (tests/Resolver) before libc's, for one pooler. It was compiled when
/// <see cref="CreateAsync"/> returns.
/// </summary>
internal sealed class NameService : IDisposable
{
    private readonly Dictionary<string, string> _names = [];
    private readonly string _folder;

    private NameService(string folder) => _folder = folder;

    private string Hosts => Path.Combine(_folder, "hosts");

    private string Asked => Path.Combine(_folder, "asked");

    public static async Task<NameService> CreateAsync()
    {
        string folder = OrdinaryUser.CreateFolder();
        CommandLine.Result compiled = await CommandLine.RunAsync("clang", ["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
            Repository.PathOf("tests", "Resolver", "getaddrinfo.c"), "-o", Path.Combine(folder, "resolver.so")]);
        Assert.True(compiled.ExitCode == 0, $"{compiled}");
        File.WriteAllText(Path.Combine(folder, "asked"), "");
        File.SetUnixFileMode(Path.Combine(folder, "asked"), (UnixFileMode)0b110_110_110);
        return new NameService(folder);
    }

    /// <summary>From now on.</summary>
    public void Set(string name, params string[] addresses)
    {
        _names[name] = string.Join(' ', addresses);
        File.WriteAllLines(Hosts + ".new", _names.Select(static entry => $"{entry.Key} {entry.Value}"));
        File.Move(Hosts + ".new", Hosts, overwrite: true);
    }

    /// <summary>There is no such name.</summary>
    public void Forget(string name) => Set(name, "unknown");

    /// <summary>Who asks for it gets no answer before it is set to something else.</summary>
    public void Silence(string name) => Set(name, "silent");

    /// <summary>How often it was asked for.</summary>
    public int CountOf(string name) => File.ReadLines(Asked).Count(line => line == name);

    /// <summary>A pooler that asks here.</summary>
    /// <param name="more">Further variables of its environment.</param>
    public Task<PoolerProcess> StartAsync(PoolerIni ini, params string[] more) => PoolerProcess.StartAsync(ini,
        ["env", $"LD_PRELOAD={Path.Combine(_folder, "resolver.so")}", $"RESOLVER_HOSTS={Hosts}", $"RESOLVER_LOG={Asked}", .. more]);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
