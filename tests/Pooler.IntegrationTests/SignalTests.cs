namespace Pooler.IntegrationTests;

/// <summary>Signals that end the pooler.</summary>
public sealed class SignalTests
{
    /// <summary>A shell starts what it runs with &amp; so; PgBouncer ends all the same.</summary>
    [Theory]
    [InlineData("INT")]
    [InlineData("QUIT")]
    public async Task ASignalThatWasIgnoredAtTheStartEndsItToo(string name)
    {
        string folder = OrdinaryUser.CreateFolder();
        int port = FreePort.Next();
        var ini = new PoolerIni();
        ini.Databases["none"] = "host=127.0.0.1 port=1";
        await using ChildProcess process = ChildProcess.Start(
            folder, ["sh", "-c", $"trap '' {name}; exec \"$@\"", "sh", PoolerProcess.RunnableBinary(folder), ini.Write(folder, port)]);
        await Eventually.BecomesAsync("it is up", () => Task.FromResult(process.Log), static log => log.Contains("process up", StringComparison.Ordinal));
        process.Send(name == "INT" ? ChildProcess.Signal.Int : ChildProcess.Signal.Quit);
        Assert.True(await process.WaitForExitAsync(Patience.Default), process.Log);
        Directory.Delete(folder, recursive: true);
    }
}
