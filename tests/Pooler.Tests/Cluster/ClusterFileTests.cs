using Microsoft.Extensions.Logging;
using Pooler.Cluster;
using Pooler.Tests.Config;
using Xunit;

namespace Pooler.Tests.Cluster;

/// <summary>What of a cluster outlives the process.</summary>
public sealed class ClusterFileTests
{
    [Fact]
    public async Task WhatWasRememberedIsThereAfterAStart()
    {
        using var folder = new TempFolder();
        string path = folder.Path("pooler.state");
        var log = new Lines();
        var file = new ClusterFile(path, log);
        file.Remember("app", new ClusterMemory("7000", 1));
        file.Remember("a name with blanks", new ClusterMemory("8000", 5));
        file.Remember("app", new ClusterMemory("7000", 2));
        await file.Written;
        var read = new ClusterFile(path, log);
        Assert.Equal((new ClusterMemory("7000", 2), new ClusterMemory("8000", 5), null), (read.Find("app"), read.Find("a name with blanks"), read.Find("other")));
        Assert.Empty(log.Texts);
        Assert.False(File.Exists(path + ".new"));
    }

    [Fact]
    public void ADamagedFileIsToldAndTheRestOfItUsed()
    {
        using var folder = new TempFolder();
        string path = folder.Path("pooler.state");
        File.WriteAllText(path, "# comment\n7000 2 app\nrubbish\n7000 x other\n\u0000\u0001\n");
        var log = new Lines();
        var file = new ClusterFile(path, log);
        Assert.Equal(new ClusterMemory("7000", 2), file.Find("app"));
        Assert.Null(file.Find("other"));
        Assert.Equal(3, log.Texts.Count);
    }

    [Fact]
    public async Task AFileThatCannotBeWrittenStopsNothing()
    {
        using var folder = new TempFolder();
        var log = new Lines();
        var file = new ClusterFile(folder.Path("missing/pooler.state"), log);
        file.Remember("app", new ClusterMemory("7000", 2));
        Assert.Equal(2, file.Find("app")!.Timeline);
        await file.Written;
        Assert.Contains("cannot be read or written", Assert.Single(log.Texts), StringComparison.Ordinal);
    }

    private sealed class Lines : ILogger
    {
        private readonly System.Collections.Concurrent.ConcurrentQueue<string> _texts = new();

        public System.Collections.Concurrent.ConcurrentQueue<string> Texts => _texts;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _texts.Enqueue(formatter(state, exception));
    }
}
