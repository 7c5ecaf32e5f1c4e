using Pooler.Net;
using Pooler.Session;
using Pooler.Sql;

namespace Pooler.Admin;

/// <summary>A client that keeps a server beyond its transaction, copied on its thread.</summary>
/// <param name="Since">Thread clock, microseconds.</param>
internal sealed record PinFacts(ClientSession Session, string Address, int Port, string ApplicationName, long Since, PinReason Reasons, string Statement)
{
    /// <summary>Of a session on this thread; null when it keeps none.</summary>
    public static PinFacts? Copy(ClientSession session)
    {
        if (session.Server == null || session.Exchange is not { PinReasons: not PinReason.None } exchange || session.Phase == SessionPhase.Ended)
        {
            return null;
        }

        (string address, int port) = session.Client.Name(peer: true);
        return new PinFacts(session, address, port, session.Parameters.ApplicationName, exchange.Pins.Since, exchange.PinReasons, exchange.Pins.Statement);
    }
}
