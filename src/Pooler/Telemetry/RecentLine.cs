namespace Pooler.Telemetry;

/// <summary>One line of those kept; its number is one more than that of the line before it.</summary>
internal sealed record RecentLine(long Number, DateTime Time, string Level, string Text);
