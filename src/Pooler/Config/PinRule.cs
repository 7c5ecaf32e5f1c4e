namespace Pooler.Config;

/// <summary>What becomes of session state that cannot follow a client to another server (<c>pin</c>).</summary>
internal enum PinRule
{
    /// <summary>The client keeps its server while the state lives.</summary>
    Auto,

    /// <summary>Statements that leave such state are refused.</summary>
    Refuse,

    /// <summary>The client loses it: the server is reset before the next client.</summary>
    Off,
}
