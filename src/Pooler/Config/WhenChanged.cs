namespace Pooler.Config;

/// <summary>When a changed value takes effect. SHOW CONFIG's column <c>changeable</c> says yes to the first and no to the second.</summary>
internal enum WhenChanged
{
    /// <summary>At RELOAD or SET.</summary>
    AtOnce,

    /// <summary>At the next start (PgBouncer's CF_NO_RELOAD).</summary>
    AtRestart,
}
