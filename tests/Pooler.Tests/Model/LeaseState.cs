namespace Pooler.Tests.Model;

/// <summary>
/// One state of the model: two clients, one place for a server, the bytes between them. Messages are three characters: what it
/// is, whose it is (A, B, or H for the pooler's own), and which of that owner's it is.
/// </summary>
internal sealed record LeaseState
{
    public ModelClient A { get; init; } = new();

    public ModelClient B { get; init; } = new();

    /// <summary>Who holds the server: A, B, H (clean-up), - (nobody: idle).</summary>
    public char Holder { get; init; } = '-';

    /// <summary>The clients that wait, oldest first.</summary>
    public string Waiters { get; init; } = "";

    // What the pooler knows of the server: the reply queue and its flags.
    public string Owed { get; init; } = "";

    public bool BatchOpen { get; init; }

    public bool Skipping { get; init; }

    public bool InCopy { get; init; }

    /// <summary>The head has been answered: only ReadyForQuery is missing.</summary>
    public bool HeadDone { get; init; }

    /// <summary>Messages were taken for ignored by a server in COPY.</summary>
    public bool Dropped { get; init; }

    /// <summary>That COPY failed: whether they were ignored or answered is not known.</summary>
    public bool Doubt { get; init; }

    public char KnownStatus { get; init; } = 'I';

    public bool KnownDirty { get; init; }

    public char KnownSettings { get; init; } = '-';

    /// <summary>A cancel under way, and for whom; - for none.</summary>
    public char Cancel { get; init; } = '-';

    /// <summary>How often client A may still ask for a cancel.</summary>
    public int Cancels { get; init; }

    /// <summary>A's own cancel: a, on its way to the pooler; p, kept until what must not be hit is through; -, none, or <see cref="Cancel"/>.</summary>
    public char Ask { get; init; } = '-';

    /// <summary>The request it is for, as A's session counted them when it was looked up.</summary>
    public int CancelNumber { get; init; }

    /// <summary>That request has been answered when A had sent so many messages: those behind it must not be hit. 0: it has not.</summary>
    public int CancelReach { get; init; }

    // The wires.
    public string ToServer { get; init; } = "";

    public string FromServer { get; init; } = "";

    // The server as it is.
    public bool IsAlive { get; init; } = true;

    public char Status { get; init; } = 'I';

    public bool ServerSkips { get; init; }

    /// <summary>Reads COPY data for a simple (Q) or an extended (E) command; - for neither.</summary>
    public char Copy { get; init; } = '-';

    public string CopyCause { get; init; } = "";

    /// <summary>The message being executed.</summary>
    public string Running { get; init; } = "";

    /// <summary>A cancel has reached it.</summary>
    public bool IsHit { get; init; }

    /// <summary>Whose session state it holds.</summary>
    public char Dirt { get; init; } = '-';

    /// <summary>Whose settings it has.</summary>
    public char Settings { get; init; } = '-';

    /// <summary>Statements that have begun, one bit each.</summary>
    public int Ran { get; init; }

    /// <summary>How often the server may still die by itself.</summary>
    public int Deaths { get; init; }

    /// <summary>The invariant that broke on the way here.</summary>
    public string? Violation { get; init; }

    public bool IsSettled => Owed.Length == 0 && !BatchOpen && !InCopy;

    public ModelClient this[char name] => name == 'A' ? A : B;

    public LeaseState With(char name, ModelClient client) => name == 'A' ? this with { A = client } : this with { B = client };

    public LeaseState Break(string what) => Violation == null ? this with { Violation = what } : this;
}
