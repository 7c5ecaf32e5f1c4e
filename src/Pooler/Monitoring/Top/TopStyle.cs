namespace Pooler.Monitoring;

internal enum TopStyle
{
    Plain,
    Head,
    Faint,
    Good,
    Warning,
    Bad,
}
