namespace Pooler.Config;

/// <summary>What becomes of startup parameters that servers do not report (<c>startup_parameters</c>).</summary>
internal enum StartupParameterRule
{
    /// <summary>They are set on every server the client is lent.</summary>
    Follow,

    /// <summary>The login fails, as with PgBouncer.</summary>
    Refuse,
}
