using Pooler.Backend;

namespace Pooler.Pooling;

/// <summary>What a pool's servers reported at login: the ParameterStatus messages a client is greeted with.</summary>
internal sealed record WelcomeSet(IReadOnlyList<KeyValuePair<string, string>> Values, SessionParameters Tracked);
