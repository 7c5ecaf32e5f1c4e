using System.Net;
using Pooler.Net;

namespace Pooler.LoadGenerator.Commands;

/// <summary>A server that answers from memory, so that what stands before it is what limits. Runs until it is ended.</summary>
internal static class ServeCommand
{
    public static void Run(Options options)
    {
        int port = options.Number("port", 5432);
        options.EndOfOptions();
        IoThread.DefectLog = Console.Error.WriteLine;
        var thread = new IoThread(0);
        var listener = Listener.Create(
            thread, new IPEndPoint(IPAddress.Loopback, port), backlog: 1024, deferAccept: false,
            (fd, _) => SyntheticServer.Accept(thread, fd), Console.Error.WriteLine, out int errno) ?? throw new LoadException($"cannot listen on port {port}: {Syscalls.ErrorText(errno)}");
        listener.Start();
        thread.Start();
        Thread.Sleep(Timeout.Infinite);
    }
}
