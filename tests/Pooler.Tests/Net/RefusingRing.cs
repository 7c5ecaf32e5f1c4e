using Pooler.Net;

namespace Pooler.Tests.Net;

/// <summary>A real ring before which stands a kernel that refuses: its answers come first, then those of the true one.</summary>
internal sealed class RefusingRing(params IEnumerable<int> answers) : Ring
{
    private readonly Queue<int> _answers = new(answers);

    public long Clock { get; set; } = 1;

    protected override long Milliseconds => Clock;

    protected override int Call(int toSubmit, int timeout) => _answers.TryDequeue(out int answer) ? answer : base.Call(toSubmit, timeout);
}
