namespace Pooler.Monitoring;

/// <summary>Which table the screen shows; the digit of its key is one more.</summary>
internal enum TopView
{
    Databases,
    Pools,
    Hosts,
    Routes,
    Pins,
    Statements,
    Log,
}
