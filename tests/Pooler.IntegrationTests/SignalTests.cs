namespace Pooler.IntegrationTests;

/// <summary>Signals that whoever started the pooler had ignored: PgBouncer heeds them all the same.</summary>
public sealed class SignalTests : IDisposable
{
    private readonly RunFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A shell starts what it runs with &amp; so.</summary>
    [Theory]
    [InlineData("Int")]
    [InlineData("Quit")]
    [InlineData("Term")]
    public async Task OneThatEndsItDoes(string name)
    {
        await using ChildProcess process = await StartAsync();
        process.Send(Enum.Parse<ChildProcess.Signal>(name));
        Assert.True(await process.WaitForExitAsync(Patience.Default), process.Log);
    }

    /// <summary>nohup leaves SIGHUP so, which asks for the file to be read again.</summary>
    [Theory]
    [InlineData("Hup", "got SIGHUP")]
    [InlineData("Usr1", "got SIGUSR1")]
    public async Task OneThatAsksForSomethingIsHeard(string name, string said)
    {
        await using ChildProcess process = await StartAsync();
        process.Send(Enum.Parse<ChildProcess.Signal>(name));
        await process.SaysAsync(said);
    }

    private async Task<ChildProcess> StartAsync()
    {
        var ini = new PoolerIni();
        ini.Databases["none"] = "host=127.0.0.1 port=1";
        ChildProcess process = ChildProcess.Start(
            _folder.Path, ["sh", "-c", "trap '' HUP INT QUIT USR1 USR2 TERM; exec \"$@\"", "sh", PoolerProcess.RunnableBinary(_folder.Path), ini.Write(_folder.Path, FreePort.Next())]);
        await process.SaysAsync("process up");
        return process;
    }
}
