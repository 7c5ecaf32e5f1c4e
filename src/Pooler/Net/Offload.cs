using System.Threading.Tasks.Sources;

namespace Pooler.Net;

/// <summary>
/// The one door from an I/O thread to code that blocks or computes for long: it runs on the thread pool or in an <see cref="OffloadQueue"/>, and the awaiting code
/// goes on on the thread that owns the connection when it has ended.
/// </summary>
internal static class Offload
{
    public static ValueTask<TResult> Run<TState, TResult>(Connection connection, Func<TState, TResult> work, TState state)
    {
        connection.CheckThread();
        return Queue(new Source<TState, TResult>(connection, connection.Owner, work, state));
    }

    /// <summary>The same for work of which only so much runs at once.</summary>
    public static ValueTask<TResult> Run<TState, TResult>(
        Connection connection, OffloadQueue queue, bool isPreferred, Func<TState, TResult> work, TState state)
    {
        connection.CheckThread();
        var source = new Source<TState, TResult>(connection, connection.Owner, work, state);
        queue.Add(source, isPreferred);
        return new ValueTask<TResult>(source, 0);
    }

    /// <summary>The same for what has no connection yet (the name of the host to connect to).</summary>
    public static ValueTask<TResult> Run<TState, TResult>(IoThread thread, Func<TState, TResult> work, TState state) =>
        Queue(new Source<TState, TResult>(null, thread, work, state));

    private static ValueTask<TResult> Queue<TState, TResult>(Source<TState, TResult> source)
    {
        ThreadPool.UnsafeQueueUserWorkItem(source, preferLocal: false);
        return new ValueTask<TResult>(source, 0);
    }

    private sealed class Source<TState, TResult>(Connection? connection, IoThread thread, Func<TState, TResult> work, TState state)
        : RunItem, IThreadPoolWorkItem, IValueTaskSource<TResult>
    {
        private IoThread Owner => connection?.Owner ?? thread;

        private TResult? _result;
        private Exception? _fault;
        private bool _completed;
        private Action<object?>? _continuation;
        private object? _continuationState;

        void IThreadPoolWorkItem.Execute()
        {
            try
            {
                _result = work(state);
            }
            catch (Exception e)
            {
                _fault = e;
            }

            Owner.Post(this);
        }

        internal override void Run()
        {
            if (!Owner.IsCurrent)
            {
                Owner.Post(this);
                return;
            }

            _completed = true;
            _continuation?.Invoke(_continuationState);
        }

        TResult IValueTaskSource<TResult>.GetResult(short token) => _fault == null ? _result! : throw new IOException(_fault.Message, _fault);

        ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) =>
            _completed ? ValueTaskSourceStatus.Succeeded : ValueTaskSourceStatus.Pending;

        void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        {
            _continuation = continuation;
            _continuationState = state;
        }
    }
}
