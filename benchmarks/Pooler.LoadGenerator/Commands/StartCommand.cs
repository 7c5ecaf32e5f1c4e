using System.Diagnostics;
using Pooler.Net;

namespace Pooler.LoadGenerator.Commands;

/// <summary>Starts a server program and tells how long it took until its port answered, and what memory it had then.</summary>
internal static class StartCommand
{
    public static Report Run(Options options)
    {
        var target = new LoadTarget(options);
        string[] command = options.Text("run", "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        options.EndOfOptions();
        if (command.Length == 0)
        {
            throw new LoadException("--run names no program");
        }

        long start = EventLoop.Now;
        using Process process = Process.Start(new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        try
        {
            // A refused connect to loopback is answered at once: this asks a few times each millisecond.
            while (!Answers(target))
            {
                if (process.HasExited || EventLoop.Now - start > target.LoginLimit)
                {
                    throw new LoadException($"{command[0]} does not listen: {(process.HasExited ? process.StandardError.ReadToEnd() : "too late")}");
                }

                Thread.SpinWait(5_000);
            }

            double milliseconds = (EventLoop.Now - start) / 1e6;

            // One login, so that what is only made for the first client is there.
            var loop = new EventLoop();
            var client = new QueryClient(loop, target, Requests.From(new Options([])), new Recorder());
            loop.LogInOrThrow([client], target);
            client.Leave();
            return new Report().Add("ms_to_listening", milliseconds).Add("rss_kb", new ProcessWatch(process.Id).ResidentKilobytes);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    private static bool Answers(LoadTarget target)
    {
        int fd = target.Connect();
        if (fd < 0)
        {
            return false;
        }

        // On loopback the answer is there when connect returns; an error is then pending.
        bool answers = Syscalls.PendingError(fd) == 0 && Syscalls.Name(fd, peer: true) != null;
        Syscalls.Close(fd);
        return answers;
    }
}
