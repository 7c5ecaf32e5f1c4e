namespace Pooler.LoadGenerator.Summary;

/// <summary>A figure of the results, and how a table shows it.</summary>
internal sealed record SummaryColumn(string Field, string Header, string Format = "F0");
