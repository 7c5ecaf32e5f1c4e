namespace Pooler.Backend;

/// <param name="Query">Longest wait for an answer.</param>
/// <param name="Retry">How long a login that failed is not tried again.</param>
/// <param name="Idle">How long a connection is kept without being asked.</param>
/// <param name="Lifetime">Age at which a connection is replaced; zero: after one question.</param>
internal readonly record struct AuthQueryTimes(TimeSpan Query, TimeSpan Retry, TimeSpan Idle, TimeSpan Lifetime);
