using System.Net;
using Pooler.Net;
using Pooler.Relay;

// pooler-relay PORT TARGET_PORT: the floor under Pooler, on the same I/O thread, with nothing understood. Loopback only.
if (args.Length != 2 || !ushort.TryParse(args[0], out ushort port) || !ushort.TryParse(args[1], out ushort targetPort))
{
    Console.Error.WriteLine("usage: pooler-relay PORT TARGET_PORT");
    return 2;
}

Syscalls.RaiseDescriptorLimit();
IoThread.DefectLog = Console.Error.WriteLine;
var thread = new IoThread(0);
SocketAddress target = new IPEndPoint(IPAddress.Loopback, targetPort).Serialize();
var listener = Listener.Create(
    thread, new IPEndPoint(IPAddress.Loopback, port), backlog: 1024, deferAccept: false,
    (fd, _) => RelayedClient.Accept(thread, fd, target), Console.Error.WriteLine, out int errno);
if (listener == null)
{
    Console.Error.WriteLine($"pooler-relay: cannot listen on port {port}: {Syscalls.ErrorText(errno)}");
    return 1;
}

listener.Start();
thread.Start();
Thread.Sleep(Timeout.Infinite);
return 0;
