using Xunit;

namespace Pooler.Tests.Config;

/// <summary>Finds files of the repository the tests were built from.</summary>
internal static class Repository
{
    public static string Path(params string[] parts)
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(System.IO.Path.Combine(folder.FullName, "Pooler.sln"))) folder = folder.Parent;
        Assert.NotNull(folder);
        return System.IO.Path.Combine([folder.FullName, .. parts]);
    }
}
