namespace Pooler.Sql;

/// <summary>What a row of <see cref="CatalogueQuery"/> says of its name.</summary>
public static class CatalogueKind
{
    /// <summary>All functions (or a type that may be called like one) of this name are harmless.</summary>
    public const char Function = 'f';

    /// <summary>A function or aggregate of this name is volatile, or answers otherwise on a standby.</summary>
    public const char VolatileFunction = 'v';

    /// <summary>A function that changes the session and nothing else.</summary>
    public const char SessionFunction = 's';

    /// <summary>A relation or type that must not be touched on a standby.</summary>
    public const char Unsafe = 'n';

    /// <summary>An operator whose function is volatile.</summary>
    public const char VolatileOperator = 'o';
}
