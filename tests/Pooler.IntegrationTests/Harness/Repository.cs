namespace Pooler.IntegrationTests.Harness;

/// <summary>The folder the tests were built in.</summary>
internal static class Repository
{
    public static string Folder { get; } = Find();

    public static string PathOf(params ReadOnlySpan<string> parts) => Path.Combine([Folder, .. parts]);

    private static string Find()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Pooler.sln")))
            folder = folder.Parent;
        return folder?.FullName ?? "";
    }
}
