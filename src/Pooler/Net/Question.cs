using System.Threading.Tasks.Sources;

namespace Pooler.Net;

/// <summary>
/// Code of an I/O thread asks what is answered later, on any thread (what a name stands for), and goes on on its own thread when it is
/// told, or when it gives up.
/// </summary>
internal sealed class Question<TAnswer>(IoThread thread) : RunItem, IValueTaskSource<TAnswer>
    where TAnswer : class
{
    private volatile TAnswer? _answer;
    private bool _completed;
    private Action<object?>? _continuation;
    private object? _continuationState;

    /// <param name="ask">Passes on what is to be called once with the answer, at once or later.</param>
    public ValueTask<TAnswer> AskAsync(Action<Action<TAnswer>> ask)
    {
        ask(answer =>
        {
            _answer = answer;
            thread.Post(this);
        });
        return new ValueTask<TAnswer>(this, 0);
    }

    /// <summary>Whatever comes is too late. On the thread that asked.</summary>
    public void GiveUp(TAnswer instead)
    {
        if (!_completed)
        {
            _answer ??= instead;
            Run();
        }
    }

    internal override void Run()
    {
        if (!_completed)
        {
            _completed = true;
            _continuation?.Invoke(_continuationState);
        }
    }

    TAnswer IValueTaskSource<TAnswer>.GetResult(short token) => _answer!;

    ValueTaskSourceStatus IValueTaskSource<TAnswer>.GetStatus(short token) =>
        _completed ? ValueTaskSourceStatus.Succeeded : ValueTaskSourceStatus.Pending;

    void IValueTaskSource<TAnswer>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        _continuation = continuation;
        _continuationState = state;
    }
}
