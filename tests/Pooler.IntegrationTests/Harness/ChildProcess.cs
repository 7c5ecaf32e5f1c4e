using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A program started by the tests: its output line by line, signals by its id, and an end for certain.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<int, ChildProcess> Running = new();

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();

    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += static (_, _) =>
    {
        foreach (ChildProcess child in Running.Values)
            child.Kill();
    };

    private ChildProcess(Process process) => _process = process;

    public enum Signal
    {
        Hup = 1,
        Int = 2,
        Quit = 3,
        Kill = 9,
        Usr1 = 10,
        Usr2 = 12,
        Term = 15,
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>Both outputs so far.</summary>
    public IReadOnlyCollection<string> Lines => _lines;

    public string Log => string.Join('\n', _lines.TakeLast(200));

    /// <summary>Starts a program as the ordinary user, with as many file descriptors as the machine allows.</summary>
    public static ChildProcess Start(string workingFolder, params IEnumerable<string> commandLine) => StartAsWeAre(workingFolder, [.. OrdinaryUser.Prefix, .. commandLine]);

    /// <summary>The same as the user who runs the tests.</summary>
    public static ChildProcess StartAsWeAre(string workingFolder, params IEnumerable<string> commandLine)
    {
        // Every part of the line ends in exec, so the id stays that of the program.
        var start = new ProcessStartInfo("/bin/sh")
        {
            WorkingDirectory = workingFolder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in (IEnumerable<string>)["-c", "ulimit -Sn \"$(ulimit -Hn)\"; exec \"$@\"", "sh", .. commandLine])
            start.ArgumentList.Add(argument);
        start.Environment["HOME"] = workingFolder;
        start.Environment["LC_ALL"] = "C";

        var child = new ChildProcess(new Process { StartInfo = start });
        child._process.OutputDataReceived += (_, line) => child.Keep(line.Data);
        child._process.ErrorDataReceived += (_, line) => child.Keep(line.Data);
        child._process.Start();
        Running[child.Id] = child;
        child._process.StandardInput.Close();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    public void Send(Signal signal)
    {
        if (!_process.HasExited && NativeMethods.Kill(_process.Id, (int)signal) != 0)
            throw new InvalidOperationException($"kill -{signal} {_process.Id}: error {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>True when the process has ended within the limit.</summary>
    public async Task<bool> WaitForExitAsync(TimeSpan limit)
    {
        using var timeout = new CancellationTokenSource(limit);
        try
        {
            await _process.WaitForExitAsync(timeout.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            return _process.HasExited;
        }
    }

    /// <summary>It ends by itself, with this text and this status.</summary>
    public async Task AssertEndAsync(int status, string text)
    {
        Assert.True(await WaitForExitAsync(Patience.Default), Log);
        Assert.Contains(text, Log, StringComparison.Ordinal);
        Assert.Equal(status, ExitCode);
    }

    /// <summary>Returns when it has said this.</summary>
    public Task SaysAsync(string text) =>
        Eventually.BecomesAsync($"it says '{text}'", () => Task.FromResult(Log), log => log.Contains(text, StringComparison.Ordinal));

    public async ValueTask DisposeAsync()
    {
        Kill();
        await _process.WaitForExitAsync();
        Running.TryRemove(Id, out _);
        _process.Dispose();
    }

    private void Kill()
    {
        try
        {
            if (!_process.HasExited)
                _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It ended between the question and the answer.
        }
    }

    private void Keep(string? line)
    {
        if (line is not null)
            _lines.Enqueue(line);
    }
}
