using Pooler.Net;

namespace Pooler.Pooling;

/// <summary>A client that logs in and waits for a server to tell it what to be greeted with.</summary>
/// <param name="ConnectedAt">Thread clock, microseconds.</param>
internal sealed record LoginFacts(Connection Client, string Database, string User, string ApplicationName, long ConnectedAt);
