namespace Pooler.Pooling;

/// <summary>A pool is one database entry and one user.</summary>
internal readonly record struct PoolKey(string Database, string User);
