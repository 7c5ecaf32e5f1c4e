using Pooler.Net;

namespace Pooler.LoadGenerator;

/// <summary>A client that asks the same thing again and again, or once.</summary>
internal sealed class QueryClient : WireClient
{
    private readonly Requests _requests;
    private readonly Recorder _recorder;
    private readonly ThinkTimer? _think;
    private readonly Pacer? _pacer;
    private long _sentAt;
    private bool _isSetUp, _isAsking;

    /// <param name="thinkMicroseconds">Pause between two transactions, at the 10 ms of the timing wheel; 0: none.</param>
    /// <param name="pacer">Says when the next transaction is due; null: as soon as the last one has ended.</param>
    public QueryClient(EventLoop loop, LoadTarget target, Requests requests, Recorder recorder, long thinkMicroseconds = 0, Pacer? pacer = null)
        : base(loop, target)
    {
        _requests = requests;
        _recorder = recorder;
        _pacer = pacer;
        _think = thinkMicroseconds > 0 ? new ThinkTimer(this, thinkMicroseconds) : null;
    }

    /// <summary>Begins one transaction; the next follow while the recorder says so.</summary>
    public void Ask() => Ask(EventLoop.Now);

    /// <summary>The same for one that was due at that time.</summary>
    public void Ask(long due)
    {
        _recorder.Outstanding++;
        _isAsking = true;
        _sentAt = due;
        Send(_requests.Transaction);
    }

    protected override void OnLoggedIn()
    {
        _isSetUp = _requests.Setup == null;
        if (!_isSetUp)
        {
            Loop.LoginsInFlight++; // The login counts as done when the statement is prepared.
            Send(_requests.Setup!);
        }
    }

    protected override void OnReady(bool failed)
    {
        if (!_isSetUp)
        {
            _isSetUp = true;
            Loop.LoginsInFlight--;
            return;
        }

        _isAsking = false;
        _recorder.Outstanding--;
        if (!failed)
        {
            _recorder.Ended(EventLoop.Now - _sentAt);
        }

        if (!_recorder.IsRunning)
        {
            return;
        }

        if (_pacer != null)
        {
            _pacer.Free(this);
        }
        else if (_think == null)
        {
            Ask();
        }
        else
        {
            _think.Begin();
        }
    }

    protected override void OnClosed()
    {
        Loop.LoginsInFlight -= IsLoggedIn && !_isSetUp ? 1 : 0;
        _recorder.Outstanding -= _isAsking ? 1 : 0;
        _isAsking = false;
    }

    private sealed class ThinkTimer(QueryClient client, long microseconds) : WheelTimer
    {
        public void Begin() => client.Loop.Wheel.Set(this, (EventLoop.Now / 1000) + microseconds);

        internal override void Expired()
        {
            if (client.IsOpen && client._recorder.IsRunning)
            {
                client.Ask();
            }
        }
    }
}
