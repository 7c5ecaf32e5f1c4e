namespace Pooler.Session;

/// <summary>The cancel requests on their way to one peer: so many at once, the others wait. Of one I/O thread; its counts may be read by any.</summary>
internal sealed class PeerPool
{
    // Strangers can make up keys: what waits is bounded, too.
    private const int MostWaiting = 1000;

    private readonly Queue<PeerCancel> _waiting = [];
    private bool _isStarting;
    private int _size, _waitingCount, _connecting, _sent;

    public int Waiting => Volatile.Read(ref _waitingCount);

    public int Connecting => Volatile.Read(ref _connecting);

    public int Sent => Volatile.Read(ref _sent);

    /// <param name="size">Most at once, from now on; 0: no limit.</param>
    public void Add(PeerCancel cancel, int size)
    {
        _size = size;
        cancel.Pool = this;
        _waitingCount++;
        if (_waitingCount > MostWaiting)
        {
            cancel.End();
            return;
        }

        _waiting.Enqueue(cancel);
        cancel.ArmDeadline();
        StartNext();
    }

    public void DropWaiting()
    {
        foreach (PeerCancel cancel in _waiting.ToArray())
        {
            cancel.End();
        }
    }

    /// <summary>One is in another state now.</summary>
    public void Changed(PeerCancelState before, PeerCancelState now)
    {
        Count(before, -1);
        Count(now, 1);
        if (now == PeerCancelState.Ended)
        {
            StartNext();
        }
    }

    private void StartNext()
    {
        if (_isStarting)
        {
            return; // One that failed at once: the loop below goes on.
        }

        _isStarting = true;
        while (_waiting.TryPeek(out PeerCancel? next) && (next.State == PeerCancelState.Ended || _size == 0 || _connecting + _sent < _size))
        {
            _waiting.Dequeue();
            if (next.State == PeerCancelState.Waiting)
            {
                next.Start();
            }
        }

        _isStarting = false;
    }

    private void Count(PeerCancelState state, int step)
    {
        switch (state)
        {
            case PeerCancelState.Waiting:
                _waitingCount += step;
                break;
            case PeerCancelState.Connecting:
                _connecting += step;
                break;
            case PeerCancelState.Sent:
                _sent += step;
                break;
            default:
                break;
        }
    }
}
