using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

/// <summary>A folder of its own for a test's files.</summary>
internal sealed class TempFolder : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("pooler-config-").FullName;

    public string Path(string name) => System.IO.Path.Combine(folder, name);

    public string Write(string name, string text)
    {
        File.WriteAllText(Path(name), text);
        return Path(name);
    }

    /// <summary>Writes pooler.ini and loads it; <paramref name="environment"/> is NAME=value each.</summary>
    public ConfigResult Load(string ini, params string[] environment) =>
        ConfigLoader.Load(Write("pooler.ini", ini), Variables(environment));

    /// <summary>The same, and it must be right.</summary>
    public PoolerConfig LoadRight(string ini, params string[] environment)
    {
        ConfigResult result = Load(ini, environment);
        Assert.Empty(result.Errors);
        Assert.True(result.IsValid);
        return result.Config;
    }

    /// <summary>The errors, with the folder taken out of the file names.</summary>
    public string[] LoadWrong(string ini, params string[] environment)
    {
        ConfigResult result = Load(ini, environment);
        Assert.False(result.IsValid);
        return [.. result.Errors.Select(error => error.ToString().Replace(folder + "/", "", StringComparison.Ordinal))];
    }

    public string Shorten(string text) => text.Replace(folder + "/", "", StringComparison.Ordinal);

    public static Dictionary<string, string> Variables(params string[] environment) =>
        environment.Select(static pair => pair.Split('=', 2)).ToDictionary(static parts => parts[0], static parts => parts[1]);

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
