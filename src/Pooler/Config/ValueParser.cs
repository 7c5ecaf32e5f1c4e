namespace Pooler.Config;

/// <summary>Reads a value from its text; false if the text is not one.</summary>
internal delegate bool ValueParser<T>(string text, out T value);
