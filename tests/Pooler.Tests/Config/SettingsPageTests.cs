using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class SettingsPageTests
{
    /// <summary>Set this variable to 1 and run the test to write the page anew.</summary>
    private const string UpdateVariable = "POOLER_TEST_UPDATE";

    [Fact]
    public void TheCommittedPageIsTheTable()
    {
        string path = Repository.Path("docs", "settings.md");
        string page = SettingsPage.Render();
        if (Environment.GetEnvironmentVariable(UpdateVariable) == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, page);
        }

        Assert.True(File.ReadAllText(path) == page, $"docs/settings.md is not the table: run this test with {UpdateVariable}=1");
    }

    [Fact]
    public void EverySettingIsOnThePage()
    {
        string page = SettingsPage.Render();
        Assert.All(Settings.All, setting => Assert.Contains($"| `{setting.Name}`", page, StringComparison.Ordinal));
    }
}
