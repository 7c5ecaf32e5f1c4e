namespace Pooler.Net;

/// <summary>
/// One deadline of a connection or a session, kept in its I/O thread's wheel. Moving a deadline later costs one store: the
/// wheel looks again when the old one comes.
/// </summary>
internal abstract class WheelTimer
{
    internal WheelTimer? Previous, Next;
    internal int Slot = -1;

    /// <summary>Microseconds on the thread's clock; <see cref="Never"/> when not set.</summary>
    internal long Due = Never;

    internal const long Never = long.MaxValue;

    public bool IsSet => Due != Never;

    /// <summary>The deadline has passed. The timer is no longer set.</summary>
    internal abstract void Expired();
}
