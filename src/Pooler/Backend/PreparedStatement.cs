using System.Text;
using Pooler.Sql;

namespace Pooler.Backend;

/// <summary>A statement of the <see cref="StatementCatalogue"/>, shared by all clients that prepare the same and all servers that hold it.</summary>
internal sealed class PreparedStatement
{
    // What the catalogue and the object itself take beside its bytes, measured roughly.
    private const int Overhead = 256;

    internal PreparedStatement? Newer, Older;

    public PreparedStatement(long id, StatementIdentity identity, ReadOnlySpan<byte> body, int hash)
    {
        Identity = identity;
        Body = body.ToArray();
        Hash = hash;
        OwnName = Encoding.ASCII.GetBytes($"pooler_{id}");
        IsRepeatable = StatementHead.IsRepeatable(Text);
        MayLeaveState = StateScan.MayLeaveState(Text);
        MayPin = MayLeaveState || PinScan.IsLikely(Text);
        MaySet = SetScan.MaySet(Text);
        Effect = TransactionEffects.Of(Text);
    }

    public StatementIdentity Identity { get; }

    /// <summary>A Parse message behind its name: the text, NUL, the declared parameter types.</summary>
    public byte[] Body { get; }

    public int Hash { get; }

    /// <summary>Its name on a server where the client's own is taken: pooler_ and a number.</summary>
    public byte[] OwnName { get; }

    /// <summary>The name by which a client had it when a server was given it last: likely that of the next one too.</summary>
    public byte[]? UsualName { get; set; }

    public bool IsRepeatable { get; }

    /// <summary>Running it may leave session state behind that no command tag shows (architecture rule 10).</summary>
    public bool MayLeaveState { get; }

    /// <summary>Running it may keep its client on the server.</summary>
    public bool MayPin { get; }

    /// <summary>The command tag SET may be its own, of more than SET LOCAL.</summary>
    public bool MaySet { get; }

    /// <summary>What running it does to its transaction.</summary>
    public TransactionEffect Effect { get; }

    /// <summary>Its class, once a router has asked for it. Whoever asks on another thread may find it a little later.</summary>
    public ClassifiedText? Classified { get; set; }

    /// <summary>Of its text without values, once somebody has asked for it; 0: nobody has.</summary>
    public ulong Fingerprint { get; set; }

    /// <summary>Names of clients that mean it. Changes, as <see cref="Servers"/>, under the catalogue's lock.</summary>
    public int Clients { get; internal set; }

    /// <summary>Servers that hold it.</summary>
    public int Servers { get; internal set; }

    /// <summary>Binds of it; counted without a lock, so that a few may be missing.</summary>
    public long Uses { get; set; }

    public int Bytes => Body.Length + Overhead;

    public ReadOnlySpan<byte> Text => Body.AsSpan(0, Math.Max(0, Body.AsSpan().IndexOf((byte)0)));
}
