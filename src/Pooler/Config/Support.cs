namespace Pooler.Config;

/// <summary>How far a setting is implemented.</summary>
internal enum Support
{
    /// <summary>It does what it says.</summary>
    Works,

    /// <summary>Accepted, so that a PgBouncer file starts unchanged, with one warning that names it.</summary>
    Later,

    /// <summary>It means nothing here; accepted in the same way.</summary>
    NoMeaning,

    /// <summary>Security depends on it, so a value we would not honour refuses the start instead of being ignored.</summary>
    RefusedUnlessDefault,
}
