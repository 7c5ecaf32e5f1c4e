using Pooler.Monitoring;
using Pooler.Tests.Config;
using Xunit;

namespace Pooler.Tests.Monitoring;

public sealed class MetricsPageTests
{
    /// <summary>Set this variable to 1 and run the test to write the page anew.</summary>
    private const string UpdateVariable = "POOLER_TEST_UPDATE";

    [Fact]
    public void TheCommittedPageIsTheTable()
    {
        string path = Repository.Path("docs", "metrics.md"), page = MetricsPage.Render();
        if (Environment.GetEnvironmentVariable(UpdateVariable) == "1")
        {
            File.WriteAllText(path, page);
        }

        Assert.True(File.ReadAllText(path) == page, $"docs/metrics.md is not the table: run this test with {UpdateVariable}=1");
    }

    [Fact]
    public void NoNameStandsForTwo()
    {
        Assert.Distinct(MetricTable.All.Select(static f => f.Name));
        Assert.Distinct(MetricTable.All.Select(static f => f.PrometheusName));
    }
}
