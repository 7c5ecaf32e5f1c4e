using Pooler.Config;

namespace Pooler.Statements;

/// <summary>What one I/O thread knows of one statement of one database and user. Times in microseconds.</summary>
internal sealed class StatementEntry(ulong key, ulong fingerprint, string database, string user, byte[] text)
{
    // The object, its place in the table, and the histogram; measured roughly.
    private const int Overhead = 240 + TimeHistogram.Size;

    internal StatementEntry? Newer, Older;

    /// <summary>Of fingerprint, database and user.</summary>
    public ulong Key { get; } = key;

    public ulong Fingerprint { get; } = fingerprint;

    public string Database { get; } = database;

    public string User { get; } = user;

    /// <summary>Without its values.</summary>
    public byte[] Text { get; } = text;

    public int Bytes => Overhead + Text.Length;

    /// <summary>Whether the table has it; what was put out may still be under way.</summary>
    public bool IsListed { get; internal set; }

    public long Calls { get; private set; }

    public long Rows { get; private set; }

    public long Errors { get; private set; }

    /// <summary>Bytes that clients were sent for it.</summary>
    public long Sent { get; private set; }

    public long Time { get; private set; }

    public long WaitTime { get; private set; }

    /// <summary>Where it ran last.</summary>
    public HostAddress Host { get; private set; }

    public TimeHistogram Times { get; private set; } = new();

    public bool IsOf(ulong fingerprint, string database, string user) => Fingerprint == fingerprint && Database == database && User == user;

    public void Count(in StatementOutcome outcome, HostAddress host)
    {
        Calls++;
        Rows += outcome.Rows;
        Errors += outcome.SqlState != 0 ? 1 : 0;
        Sent += outcome.Sent;
        Time += outcome.Time;
        WaitTime += outcome.Wait;
        Host = host;
        Times.Add(outcome.Time);
    }

    /// <summary>What another thread has counted comes to this one's.</summary>
    public void Add(StatementEntry other)
    {
        Calls += other.Calls;
        Rows += other.Rows;
        Errors += other.Errors;
        Sent += other.Sent;
        Time += other.Time;
        WaitTime += other.WaitTime;
        Host = Calls == other.Calls ? other.Host : Host;
        other.Times.AddTo(Times);
    }

    /// <summary>As it is now, for another thread.</summary>
    public StatementEntry Copy()
    {
        var copy = new StatementEntry(Key, Fingerprint, Database, User, Text);
        copy.Add(this);
        return copy;
    }

    /// <summary>It begins anew.</summary>
    public void Clear()
    {
        (Calls, Rows, Errors, Sent, Time, WaitTime) = (0, 0, 0, 0, 0, 0);
        Times = new TimeHistogram();
    }
}
