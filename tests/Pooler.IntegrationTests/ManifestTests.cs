namespace Pooler.IntegrationTests;

/// <summary>What config/ has for containers, systemd and Prometheus, checked as well as that can be without a cluster or an engine.</summary>
public sealed class ManifestTests
{
    private static readonly string Checker = Repository.PathOf("tests", "Manifests", "check.mjs");

    /// <summary>compose.yaml, Kubernetes' objects, and those the chart becomes with several values.</summary>
    [Fact]
    public async Task EveryObjectFitsItsSchema()
    {
        CommandLine.Result result = await CommandLine.RunAsync("node", [Checker]);
        Assert.True(result.ExitCode == 0, $"{result}");
        Assert.Contains("helm with all servicemonitor.yaml: ServiceMonitor db", result.Output, StringComparison.Ordinal);
        Assert.Contains("sidecar.yaml: Deployment app", result.Output, StringComparison.Ordinal);
        Assert.Contains("compose replica2", result.Output, StringComparison.Ordinal);
    }

    /// <summary>The check itself: what a cluster would refuse, or an operator would miss, is found.</summary>
    [Fact]
    public async Task WhatIsWrongIsFound()
    {
        using var folder = new RunFolder();
        CommandLine.Result result = await CommandLine.RunAsync("cp", ["-r", Repository.PathOf("config"), Repository.PathOf("Dockerfile"), folder.Path]);
        Assert.True(result.ExitCode == 0, $"{result}");
        Break("kubernetes/deployment.yaml", "readOnlyRootFilesystem", "readOnlyRootFileSystem");
        Break("kubernetes/sidecar.yaml", "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 10");
        Break("helm/pooler/templates/pdb.yaml", ".maxUnavailable", ".maxUnavailabel");
        Break("helm/pooler/templates/service.yaml", "port: {{ .Values.service.port }}", "port: first");
        Break("compose.yaml", "depends_on: [prometheus]", "depends_on: [prometeus]");
        result = await CommandLine.RunAsync("node", [Checker, folder.PathOf("config")]);
        Assert.Equal(1, result.ExitCode);
        Assert.All((string[])
        [
            "\"readOnlyRootFileSystem\"' does not exist", "the security context is open", "the grace period is not longer than 10 s", "maxUnavailabel", "port must be integer", "grafana depends on prometeus",
        ], problem => Assert.Contains(problem, result.Error, StringComparison.Ordinal));

        void Break(string name, string text, string by)
        {
            string path = folder.PathOf("config/" + name), before = File.ReadAllText(path);
            Assert.Contains(text, before, StringComparison.Ordinal);
            File.WriteAllText(path, before.Replace(text, by, StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task TheUnitIsRightAndHardened()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/systemd-analyze"), "needs Debian's package systemd");
        using var folder = new RunFolder();
        string unit = folder.PathOf("pooler.service"), text = await File.ReadAllTextAsync(Repository.PathOf("config", "pooler.service"));
        Assert.Contains("/usr/local/bin/pooler", text, StringComparison.Ordinal);
        await File.WriteAllTextAsync(unit, text.Replace("/usr/local/bin/pooler", PoolerProcess.Binary, StringComparison.Ordinal));
        CommandLine.Result result = await CommandLine.RunAsync("systemd-analyze", ["verify", "--man=no", unit]);
        Assert.True(result is { ExitCode: 0, Error: "" }, $"{result}");

        // Tenths of its score of exposure, of a hundred; a service without a line of sandbox has 96.
        result = await CommandLine.RunAsync("systemd-analyze", ["security", "--offline=true", "--threshold=20", unit]);
        Assert.True(result.ExitCode == 0, $"{result}");
    }

    /// <summary>MemoryDenyWriteExecute of the unit is a word to the kernel (PR_SET_MDWE), which the compiled program can live with.</summary>
    [Fact]
    public async Task NoMemoryNeedsToBeWrittenAndRun()
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1);
        const string script = "syscall(157, 65, 1, 0, 0, 0) == 0 or die qq(prctl: $!\\n); exec(@ARGV);";
        await using ChildProcess process = ChildProcess.Start(folder.Path, "perl", "-e", script, PoolerProcess.RunnableBinary(folder.Path), file);
        await Eventually.BecomesAsync("it is up", () => Task.FromResult(process.Log), static log => log.Contains("process up", StringComparison.Ordinal) || log.Contains("prctl", StringComparison.Ordinal));
        Assert.SkipWhen(process.Log.Contains("prctl", StringComparison.Ordinal), "the kernel does not know PR_SET_MDWE");
        process.Send(ChildProcess.Signal.Int);
        await process.AssertEndAsync(0, "stopping");
    }

    [Theory]
    [InlineData("check", "rules", "config/prometheus/alerts.yml")]
    [InlineData("check", "config", "config/prometheus/prometheus.yml")]
    [InlineData("test", "rules", "tests/Manifests/alerts.test.yml")]
    public async Task PromtoolAgrees(string verb, string what, string file)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/promtool"), "needs Debian's package prometheus");
        CommandLine.Result result = await CommandLine.RunAsync("promtool", [verb, what, Repository.PathOf(file)]);
        Assert.True(result.ExitCode == 0, $"{result}");
        Assert.Contains("SUCCESS", result.Output, StringComparison.Ordinal);
    }
}
