namespace Pooler.Routing;

/// <summary>Where a request goes, and why.</summary>
/// <param name="Host">Its index in the cluster; null: no host can take it now, it waits.</param>
internal readonly record struct Route(int? Host, RouteReason Reason);
