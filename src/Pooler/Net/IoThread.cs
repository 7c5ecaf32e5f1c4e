using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Pooler.Net;

/// <summary>
/// One event loop and everything it owns: connections, timers, blocks, the run list. Whatever it owns is touched on this
/// thread only; other threads reach in through <see cref="Post(RunItem)"/>.
/// </summary>
internal sealed class IoThread
{
    [ThreadStatic]
    private static IoThread? t_current;

    private static long s_foreignResumes;

    private readonly Func<Engine> _createEngine;
    private readonly int _wakeFd = Syscalls.EventFd();
    private readonly ConcurrentQueue<RunItem> _posted = new();
    private readonly Thread _thread;
    private int _wakePending;
    private volatile bool _stopping;

    private RunItem? _runHead, _runTail;
    private int _runCount;

    public IoThread(int index, Func<Engine>? createEngine = null)
    {
        _createEngine = createEngine ?? (static () => new EpollEngine());
        Index = index;
        Blocks = new BlockPool(this);
        Now = Clock();
        _thread = new Thread(Loop) { Name = $"io-{index}", IsBackground = true };
    }

    /// <summary>0-based number of this thread.</summary>
    public int Index { get; }

    /// <summary>Counts the rounds in which a connection has its budget: the events of a wait, and the run list behind them.</summary>
    public long Turn { get; private set; }

    /// <summary>Microseconds, read once a turn.</summary>
    public long Now { get; private set; }

    public BlockPool Blocks { get; }

    public TimingWheel Wheel { get; } = new();

    /// <summary>What it asks of the kernel; made on the thread itself, when it starts.</summary>
    public Engine Engine { get; private set; } = null!;

    /// <summary>What this thread may read of one connection before it goes to the end of the run list (sbuf_loopcnt; 0: no limit).</summary>
    public int ReadsPerTurn { get; set; } = 5;

    public IoCounters Counters { get; } = new();

    /// <summary>The I/O thread this code runs on, or null.</summary>
    public static IoThread? Current => t_current;

    /// <summary>How often code of an I/O thread came back through a captured context: a defect each time.</summary>
    public static long ForeignResumes => Interlocked.Read(ref s_foreignResumes);

    /// <summary>Reports each defect of ownership; set once in Program.</summary>
    public static Action<string>? DefectLog { get; set; }

    public bool IsCurrent => ReferenceEquals(t_current, this);

    /// <summary>Microseconds of a monotonic clock, the same for all threads.</summary>
    public static long Clock() => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000);

    /// <summary>Stands before everything that may block.</summary>
    public static void MustNotBeHere([CallerMemberName] string caller = "")
    {
        if (t_current != null)
        {
            Defect($"{caller} may block and ran on an I/O thread");
        }
    }

    public static void Defect(string what) => DefectLog?.Invoke(what + Environment.NewLine + Environment.StackTrace);

    public void Start() => _thread.Start();

    /// <summary>Ends the loop and joins it.</summary>
    public bool Stop(TimeSpan deadline)
    {
        _stopping = true;
        Wake();
        return _thread.Join(deadline);
    }

    /// <summary>Runs an item on this thread, from any thread.</summary>
    public void Post(RunItem item)
    {
        _posted.Enqueue(item);
        Wake();
    }

    public void Post(Action act) => Post(new PostedAction(act));

    /// <summary>Appends to the run list; on this thread only. Queued items are not queued twice.</summary>
    public void Schedule(RunItem item)
    {
        if (item.IsQueued)
        {
            return;
        }

        item.IsQueued = true;
        item.NextToRun = null;
        if (_runTail == null)
        {
            _runHead = item;
        }
        else
        {
            _runTail.NextToRun = item;
        }

        _runTail = item;
        _runCount++;
    }

    internal void ReadClock() => Now = Clock();

    private void Loop()
    {
        t_current = this;
        SynchronizationContext.SetSynchronizationContext(new IoSynchronizationContext(this));
        Engine = _createEngine();
        Engine.Add(_wakeFd, new WakeTarget(_wakeFd));
        while (!_stopping)
        {
            long woken = Now;
            ReadClock();
            Counters.Turns++;
            Counters.Busy += Now - woken; // Since the end of the last wait: the engine reads the clock there.
            Wheel.Turn(Now);
            Turn++;
            Engine.Turn(this, _runCount > 0 ? 0 : Wheel.Timeout(Now));
            Turn++;
            RunPosted();
            RunListed();
        }

        Engine.Close();
        Syscalls.Close(_wakeFd);
    }

    private void RunPosted()
    {
        if (Volatile.Read(ref _wakePending) == 0)
        {
            return;
        }

        Interlocked.Exchange(ref _wakePending, 0);
        for (int n = _posted.Count; n > 0 && _posted.TryDequeue(out RunItem? item); n--)
        {
            item.Run();
        }

        if (!_posted.IsEmpty)
        {
            Wake();
        }
    }

    /// <summary>Only what was there when the round began: between two rounds the kernel is asked (architecture rule 4).</summary>
    private void RunListed()
    {
        for (int n = _runCount; n > 0; n--)
        {
            RunItem item = _runHead!;
            _runHead = item.NextToRun;
            if (_runHead == null)
            {
                _runTail = null;
            }

            _runCount--;
            item.IsQueued = false;
            item.NextToRun = null;
            item.Run();
        }
    }

    private void Wake()
    {
        if (Interlocked.Exchange(ref _wakePending, 1) == 0)
        {
            Syscalls.EventFdSignal(_wakeFd);
        }
    }

    private sealed class WakeTarget(int fd) : PollTarget
    {
        internal override void OnEvents(uint events) => Syscalls.EventFdClear(fd);

        internal override void Run()
        {
        }
    }

    private sealed class PostedAction(Action act) : RunItem
    {
        internal override void Run() => act();
    }

    /// <summary>The net under the rule that I/O code awaits our own sources only: brings strays back and counts them.</summary>
    private sealed class IoSynchronizationContext(IoThread thread) : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state)
        {
            if (Interlocked.Increment(ref s_foreignResumes) == 1)
            {
                Defect("A foreign task was awaited on an I/O thread");
            }

            thread.Post(() => d(state));
        }

        public override void Send(SendOrPostCallback d, object? state) => Post(d, state);
    }
}
