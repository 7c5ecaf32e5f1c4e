using Pooler.Config;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>Reads the state once a second for all who look at the live page, while somebody does.</summary>
internal sealed class PageFeed(PageReader reader, LiveConfig live, LogOutput? output, Action<string> defect)
{
    private const int MostListeners = 16;

    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly List<PageListener> _listeners = [];
    private bool _isRunning;
    private RecentLines? _recent;
    private long _lastLine;

    /// <summary>Null when there are too many already.</summary>
    /// <param name="abort">Ends the looker's connection; returns at once.</param>
    public PageListener? Enter(Action abort)
    {
        lock (_lock)
        {
            if (_listeners.Count == MostListeners)
            {
                return null;
            }

            // Lines may come to it twice, but never in the wrong order: they have numbers.
            var listener = new PageListener(abort);
            listener.Send(PageJson.Event(output?.Recent?.After(0) ?? []));
            _listeners.Add(listener);
            if (!_isRunning)
            {
                _isRunning = true;
                _ = Task.Run(RunAsync);
            }

            return listener;
        }
    }

    public void Leave(PageListener listener)
    {
        lock (_lock)
        {
            _listeners.Remove(listener);
        }
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(s_period);
        do
        {
            byte[]? data = null;
            try
            {
                data = PageEndpoint.IsShown(live.Current) ? [.. LinesSince(), .. PageJson.Event(await reader.ReadAsync())] : null;
            }
            catch (Exception e)
            {
                defect($"live page: {e}");
            }

            Send(data);
        }
        while (!EndsAlone() && await timer.WaitForNextTickAsync());
    }

    private byte[] LinesSince()
    {
        if (output?.Recent is not { } recent)
        {
            return [];
        }

        // Made anew when the page was switched off and on.
        _lastLine = ReferenceEquals(recent, _recent) ? _lastLine : 0;
        _recent = recent;
        List<RecentLine> lines = recent.After(_lastLine);
        _lastLine = lines.Count > 0 ? lines[^1].Number : _lastLine;
        return lines.Count > 0 ? PageJson.Event(lines) : [];
    }

    /// <summary>Null: there is nothing to be seen any more, and all are let go.</summary>
    private void Send(byte[]? data)
    {
        lock (_lock)
        {
            foreach (PageListener listener in _listeners)
            {
                if (data != null)
                {
                    listener.Send(data);
                }
                else
                {
                    listener.Drop();
                }
            }
        }
    }

    private bool EndsAlone()
    {
        lock (_lock)
        {
            _isRunning = _listeners.Count > 0;
            return !_isRunning;
        }
    }
}
