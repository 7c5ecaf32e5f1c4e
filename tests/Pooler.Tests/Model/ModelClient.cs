namespace Pooler.Tests.Model;

/// <summary>Where a client of the model stands.</summary>
internal enum ClientPhase
{
    Idle,
    Waiting,

    /// <summary>A server is its own, and it has not taken it up.</summary>
    Granted,
    Leased,
    Gone,
}

/// <summary>A client of the model.</summary>
internal sealed record ModelClient
{
    public ClientPhase Phase { get; init; }

    /// <summary>What it sent and the pooler has not read; ! is the end of its stream.</summary>
    public string Inbox { get; init; } = "";

    /// <summary>Messages sent so far.</summary>
    public int Sent { get; init; }

    /// <summary>Messages read so far: the number of the next.</summary>
    public int Read { get; init; }

    /// <summary>Requests answered so far, where cancels are looked at: the number of the one that a cancel is for.</summary>
    public int Answered { get; init; }

    /// <summary>It has sent half a message.</summary>
    public bool SendsHalf { get; init; }

    /// <summary>Half a message of it was passed on.</summary>
    public bool PassedHalf { get; init; }

    public bool HasLeft { get; init; }
}
