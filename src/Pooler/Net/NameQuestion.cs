using System.Threading.Tasks.Sources;

namespace Pooler.Net;

/// <summary>Code of an I/O thread asks what a name stands for, and goes on on that thread when it is told, or when it gives up.</summary>
internal sealed class NameQuestion(IoThread thread) : RunItem, IValueTaskSource<NameAnswer>
{
    private volatile NameAnswer? _answer;
    private bool _completed;
    private Action<object?>? _continuation;
    private object? _continuationState;

    public ValueTask<NameAnswer> AskAsync(HostNames names, string name)
    {
        names.Ask(name, answer =>
        {
            _answer = answer;
            thread.Post(this);
        });
        return new ValueTask<NameAnswer>(this, 0);
    }

    /// <summary>Whatever comes is too late. On the thread that asked.</summary>
    public void GiveUp()
    {
        if (!_completed)
        {
            _answer ??= new NameAnswer([], "given up");
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

    NameAnswer IValueTaskSource<NameAnswer>.GetResult(short token) => _answer!;

    ValueTaskSourceStatus IValueTaskSource<NameAnswer>.GetStatus(short token) =>
        _completed ? ValueTaskSourceStatus.Succeeded : ValueTaskSourceStatus.Pending;

    void IValueTaskSource<NameAnswer>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        _continuation = continuation;
        _continuationState = state;
    }
}
