using Pooler.Net;
using Pooler.Pooling;

namespace Pooler.Session;

/// <summary>
/// Measures what one client has with servers. The clock is read where a request goes out and where its ReadyForQuery is there: within a
/// turn of the I/O thread, whose time is read once, dozens of others may have their turn. What lasts for turns goes by the turn's time.
/// </summary>
internal struct LeaseTimes(Connection client)
{
    private ServerTimes? _times, _unsentTimes;

    // Microseconds; 0: not now.
    private long _leasedAt, _syncSince, _sentAt, _answeredAt, _repliesSince, _unsentSince;
    private bool _isAnswered;

    private readonly long Turn => client.Owner.Now;

    /// <summary>A lease begins whose request can follow at once: it counts from then.</summary>
    public void Begin(ServerTimes times)
    {
        SettleTransfer();
        _times = times;
        _leasedAt = _sentAt = _answeredAt = _repliesSince = 0;
    }

    /// <summary>A lease begins, and the server is given the client's settings first.</summary>
    public void BeginSync(ServerTimes times)
    {
        Begin(times);
        _leasedAt = _syncSince = IoThread.Clock();
    }

    /// <summary>The server has taken the settings.</summary>
    public readonly void Synced() => _times!.StateSync.Record(IoThread.Clock() - _syncSince);

    /// <summary>A request has gone out to a server that owed nothing.</summary>
    public void Sent()
    {
        _sentAt = IoThread.Clock();
        _leasedAt = _leasedAt == 0 ? _sentAt : _leasedAt;
    }

    /// <summary>Something of the reply is for the client.</summary>
    public void Replied() => _repliesSince = _repliesSince == 0 ? Turn : _repliesSince;

    /// <summary>ReadyForQuery; with a pipeline the next request counts from here.</summary>
    public void Answered()
    {
        if (_sentAt != 0)
        {
            _answeredAt = IoThread.Clock();
            _times!.Operation.Record(_answeredAt - _sentAt);
            _sentAt = _answeredAt;
            _isAnswered = true;
        }
    }

    /// <summary>What the server has sent is with the client's outbox.</summary>
    public void PassedOn()
    {
        if (!_isAnswered)
        {
            return;
        }

        _isAnswered = false;
        SettleTransfer();
        _unsentSince = _repliesSince;
        _unsentTimes = _times;
        _repliesSince = 0;
        if (client.Outbox.Pending == 0)
        {
            RecordTransfer(Turn);
        }
    }

    /// <summary>The server is let go, or lost.</summary>
    public void End()
    {
        if (_leasedAt != 0)
        {
            _times!.Use.Record(Math.Max(_answeredAt, Turn) - _leasedAt);
            _leasedAt = 0;
        }

        _sentAt = 0;
        SettleTransfer();
    }

    /// <summary>A reply whose last bytes the client took later: that is known when the next thing happens.</summary>
    private void SettleTransfer()
    {
        if (_unsentSince != 0 && client.Outbox.Pending == 0)
        {
            RecordTransfer(client.LastProgress);
        }
    }

    private void RecordTransfer(long at)
    {
        if (_unsentSince != 0)
        {
            _unsentTimes!.Transfer.Record(at - _unsentSince);
            _unsentSince = 0;
        }
    }
}
