namespace Pooler.Config;

/// <summary>libpq's <c>target_session_attrs</c>: which hosts of a list will do. Another way to write <see cref="RoutingRule"/>.</summary>
internal enum TargetSessionAttrs
{
    /// <summary>Any of them: plain pooling.</summary>
    Any,

    /// <summary>One that takes writes.</summary>
    ReadWrite,

    /// <summary>One that takes no writes.</summary>
    ReadOnly,

    Primary,

    Standby,

    /// <summary>A standby while there is one, else any.</summary>
    PreferStandby,
}
