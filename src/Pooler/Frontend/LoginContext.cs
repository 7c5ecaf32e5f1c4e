using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Session;

namespace Pooler.Frontend;

/// <summary>What every login needs of the process.</summary>
/// <param name="Console">Takes over a client that is logged in to the console database.</param>
internal sealed record LoginContext(
    LiveConfig Live, Pools Pools, SessionTable Sessions, Credentials Credentials, ILogger Log, Action<Connection, ClientIdentity> Console);
