namespace Pooler.Config;

/// <summary>How far a setting is implemented.</summary>
internal enum Support
{
    /// <summary>It does what it says.</summary>
    Works,

    /// <summary>It means nothing here; accepted, so that a PgBouncer file starts unchanged, with one warning that names it.</summary>
    NoMeaning,
}
