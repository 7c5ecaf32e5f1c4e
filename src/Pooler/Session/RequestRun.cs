using Pooler.Net;

namespace Pooler.Session;

/// <summary>
/// The bytes of a client on their way to its server: as they are and in one piece, up to where something is put between, left
/// out or put in the place of a name.
/// </summary>
internal ref struct RequestRun(Outbox outbox, ReadOnlySpan<byte> data)
{
    private readonly ReadOnlySpan<byte> _data = data;
    private int _start;

    /// <summary>The front of the message that is looked at.</summary>
    public int At { get; set; }

    /// <summary>What is there of it and behind it.</summary>
    public readonly ReadOnlySpan<byte> Rest => _data[At..];

    public readonly bool IsAtEnd => At >= _data.Length;

    /// <summary>What is appended to the result stands before the message looked at.</summary>
    public Outbox Break()
    {
        if (_start < At)
        {
            outbox.Append(_data[_start..At]);
            _start = At;
        }

        return outbox;
    }

    /// <summary>The next bytes of the message looked at do not go to the server; <see cref="Break"/> came first.</summary>
    public void Skip(int count) => _start = At + count;

    /// <summary>Everything looked at goes.</summary>
    public readonly void Send() => outbox.Send(_start < At ? _data[_start..At] : default);
}
