using Pooler.Backend;
using Pooler.Protocol;
using Pooler.Sql;
using Pooler.Statements;

namespace Pooler.Session;

/// <summary>
/// What a client's statements and portals stand for in the table of its thread. Texts are read when they are parsed, once each; those
/// of shared statements once for all clients.
/// </summary>
internal sealed class StatementTexts(ClientSession session, StatementTable table)
{
    /// <summary>Names that pass as they are; a client with more is not followed in all of them.</summary>
    private const int MostNames = 256;

    private const int MostPortals = 8;

    private readonly ulong _salt = (ulong)HashCode.Combine(session.Identity.Database, session.Identity.User) * 0x9E3779B97F4A7C15;

    private StatementEntry? _unnamed, _portal;
    private TraceParent _unnamedParent, _namedParent, _portalParent;
    private Dictionary<byte[], StatementEntry>? _named;

    // The last portals with names, in turn.
    private (ulong Name, StatementEntry? Entry)[]? _portals;
    private int _nextPortal;
    private ulong _namedParentOf;

    /// <summary>The entry of a text, with or without its closing zero and what is behind it.</summary>
    public StatementEntry Find(ReadOnlySpan<byte> text)
    {
        SessionParameters settings = session.Parameters;
        text = TextOf(text);
        return Find(StatementText.FingerprintOf(text, settings.HasConformingStrings, settings.TextEncoding), text);
    }

    /// <summary>The trace that a text says it is of.</summary>
    public TraceParent TraceOf(ReadOnlySpan<byte> text) =>
        TraceParent.TryFind(TextOf(text), session.Parameters.HasConformingStrings, session.Parameters.TextEncoding, out TraceParent parent) ? parent : default;

    /// <summary>Another server: what was parsed on the last one without a name is not there.</summary>
    public void Leased()
    {
        _portal = null;
        TransactionEnded();
    }

    /// <summary>Portals end with their transaction.</summary>
    public void TransactionEnded() => _portals?.AsSpan().Clear();

    public void Parse(ReadOnlySpan<byte> body)
    {
        int length = body.IndexOf((byte)0);
        ReadOnlySpan<byte> text = body[(length + 1)..];
        TraceParent parent = table.Settings.SampleRatio > 0 ? TraceOf(text) : default;
        if (length == 0)
        {
            _unnamed = Find(text);
            _unnamedParent = parent;
            return;
        }

        // For its first use: prepared statements outlive the trace they were prepared in.
        (_namedParent, _namedParentOf) = (parent, parent.IsSet ? HashOf(body[..Math.Max(0, length)]) : 0);
        if (length < 0 || session.Exchange!.Statements.Last != null)
        {
            return; // It is found by what all clients share.
        }

        ReadOnlySpan<byte> name = body[..length];
        _named ??= new(NameComparer.Instance);
        Dictionary<byte[], StatementEntry>.AlternateLookup<ReadOnlySpan<byte>> named = _named.GetAlternateLookup<ReadOnlySpan<byte>>();
        if (_named.Count >= MostNames && !named.ContainsKey(name))
        {
            _named.Clear();
        }

        named[name] = Find(text);
    }

    /// <param name="prepared">The shared statement it names.</param>
    public void Bind(ReadOnlySpan<byte> body, PreparedStatement? prepared)
    {
        if (!StatementName.Find(FrontendMessage.Bind, body, out int start, out int length))
        {
            return;
        }

        ReadOnlySpan<byte> portal = body[..(start - 1)], name = body.Slice(start, length);
        StatementEntry? entry = length == 0 ? (_unnamed == null ? null : _unnamed = table.Renew(_unnamed))
            : prepared != null ? Find(FingerprintOf(prepared), prepared.Text)
            : FindNamed(name);
        if (portal.IsEmpty)
        {
            _portal = entry;
        }
        else
        {
            _portals ??= new (ulong, StatementEntry?)[MostPortals];
            _portals[_nextPortal++ % MostPortals] = (HashOf(portal), entry);
        }

        _portalParent = length == 0 ? _unnamedParent : default;
        if (_namedParent.IsSet && length > 0 && HashOf(name) == _namedParentOf)
        {
            _portalParent = _namedParent;
            _namedParent = default;
        }
    }

    /// <summary>What an Execute runs; null when that is not known.</summary>
    public StatementEntry? Executed(ReadOnlySpan<byte> body, out TraceParent parent)
    {
        parent = _portalParent;
        int length = body.IndexOf((byte)0);
        if (length <= 0)
        {
            return _portal;
        }

        ulong name = HashOf(body[..length]);
        for (int i = 1; _portals != null && i <= MostPortals; i++)
        {
            ref (ulong Name, StatementEntry? Entry) portal = ref _portals[(_nextPortal + MostPortals - i) % MostPortals];
            if (portal.Name == name && portal.Entry != null)
            {
                return portal.Entry;
            }
        }

        return null;
    }

    private StatementEntry Find(ulong fingerprint, ReadOnlySpan<byte> text) => table.Find(
        fingerprint, _salt, session.Identity.Database, session.Identity.User, text, session.Parameters.HasConformingStrings, session.Parameters.TextEncoding);

    private StatementEntry? FindNamed(ReadOnlySpan<byte> name) =>
        _named != null && _named.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out StatementEntry? entry) ? table.Renew(entry) : null;

    private ulong FingerprintOf(PreparedStatement prepared)
    {
        if (prepared.Fingerprint == 0)
        {
            prepared.Fingerprint = StatementText.FingerprintOf(prepared.Text, session.Parameters.HasConformingStrings, session.Parameters.TextEncoding);
        }

        return prepared.Fingerprint;
    }

    private static ReadOnlySpan<byte> TextOf(ReadOnlySpan<byte> text) => text.IndexOf((byte)0) is >= 0 and var end ? text[..end] : text;

    private static ulong HashOf(ReadOnlySpan<byte> name)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (byte b in name)
        {
            hash = (hash ^ b) * 0x100000001B3;
        }

        return hash;
    }
}
