namespace Pooler.Protocol;

/// <summary>A name with its value: a parameter of a startup packet, or a setting from its <c>options</c>.</summary>
public readonly record struct StartupParameter(string Name, string Value);
