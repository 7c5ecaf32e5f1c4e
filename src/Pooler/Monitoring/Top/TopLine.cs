namespace Pooler.Monitoring;

internal readonly record struct TopLine(string Text, TopStyle Style);
