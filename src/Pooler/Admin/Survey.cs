using System.Threading.Tasks.Sources;
using Pooler.Net;

namespace Pooler.Admin;

/// <summary>
/// Asks every I/O thread for copies of what it owns. Each thread copies a slice a turn, so that a long list holds up no
/// connection; the asker goes on on its own thread when the last has answered.
/// </summary>
internal static class Survey
{
    private const int PerTurn = 128;

    /// <param name="list">What there is on a thread; runs there, and its answer must not change afterwards.</param>
    /// <param name="copy">The copy of one, made on its thread; null leaves it out.</param>
    public static ValueTask<List<TRow>> Run<TItem, TRow>(
        IoThread[] threads, Connection asker, Func<IoThread, IReadOnlyList<TItem>> list, Func<TItem, TRow?> copy)
        where TRow : class
    {
        asker.CheckThread();
        var source = new Source<TRow>(asker);
        Ask(threads, list, copy, source.Answer);
        return new ValueTask<List<TRow>>(source, 0);
    }

    /// <summary>The same for who asks on the thread pool. While a thread hangs there is no answer.</summary>
    public static Task<List<TRow>> RunOffThreads<TItem, TRow>(IoThread[] threads, Func<IoThread, IReadOnlyList<TItem>> list, Func<TItem, TRow?> copy)
        where TRow : class
    {
        var source = new TaskCompletionSource<List<TRow>>(TaskCreationOptions.RunContinuationsAsynchronously);
        Ask(threads, list, copy, source.SetResult);
        return source.Task;
    }

    private static void Ask<TItem, TRow>(IoThread[] threads, Func<IoThread, IReadOnlyList<TItem>> list, Func<TItem, TRow?> copy, Action<List<TRow>> all)
        where TRow : class
    {
        var answers = new Answers<TRow>(threads.Length, all);
        for (int i = 0; i < threads.Length; i++)
        {
            threads[i].Post(new Part<TItem, TRow>(answers, threads[i], i, list, copy));
        }
    }

    private sealed class Part<TItem, TRow>(
        Answers<TRow> answers, IoThread thread, int index, Func<IoThread, IReadOnlyList<TItem>> list, Func<TItem, TRow?> copy) : RunItem
        where TRow : class
    {
        private readonly List<TRow> _rows = [];
        private IReadOnlyList<TItem>? _items;
        private int _at;

        internal override void Run()
        {
            try
            {
                _items ??= list(thread);
                for (int end = Math.Min(_items.Count, _at + PerTurn); _at < end; _at++)
                {
                    if (copy(_items[_at]) is { } row)
                    {
                        _rows.Add(row);
                    }
                }
            }
            catch (Exception e)
            {
                IoThread.Defect($"Survey: {e}");
                _items = [];
            }

            if (_at < _items!.Count)
            {
                thread.Schedule(this);
            }
            else
            {
                answers.Add(index, _rows);
            }
        }
    }

    private sealed class Answers<TRow>(int parts, Action<List<TRow>> all)
    {
        private readonly List<TRow>[] _rows = new List<TRow>[parts];
        private int _missing = parts;

        public void Add(int index, List<TRow> rows)
        {
            _rows[index] = rows;
            if (Interlocked.Decrement(ref _missing) == 0)
            {
                all([.. _rows.SelectMany(static part => part)]);
            }
        }
    }

    private sealed class Source<TRow>(Connection asker) : RunItem, IValueTaskSource<List<TRow>>
    {
        private List<TRow> _rows = [];
        private bool _completed;
        private Action<object?>? _continuation;
        private object? _continuationState;

        public void Answer(List<TRow> rows)
        {
            _rows = rows;
            asker.Owner.Post(this);
        }

        internal override void Run()
        {
            _completed = true;
            _continuation?.Invoke(_continuationState);
        }

        List<TRow> IValueTaskSource<List<TRow>>.GetResult(short token) => _rows;

        ValueTaskSourceStatus IValueTaskSource<List<TRow>>.GetStatus(short token) =>
            _completed ? ValueTaskSourceStatus.Succeeded : ValueTaskSourceStatus.Pending;

        void IValueTaskSource<List<TRow>>.OnCompleted(
            Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        {
            _continuation = continuation;
            _continuationState = state;
        }
    }
}
