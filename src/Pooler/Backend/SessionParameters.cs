using System.Text;
using Pooler.Sql;

namespace Pooler.Backend;

/// <summary>
/// The reported settings that follow a client from server to server, as one immutable set that sessions and servers share:
/// equal sets are mostly the same object. A value counts as reported when a server itself spelled it so (ParameterStatus).
/// </summary>
internal sealed class SessionParameters
{
    /// <summary>How many names every server reports that we speak to; those behind them some do (search_path since PostgreSQL 18).</summary>
    public const int WellKnown = 6;

    /// <summary>The index of standard_conforming_strings.</summary>
    public const int ConformingStrings = 4;

    private const int ClientEncoding = 0;

    /// <summary>standard_conforming_strings: how texts are read.</summary>
    public bool HasConformingStrings => this[ConformingStrings] != "off";

    /// <summary>client_encoding: how texts are written.</summary>
    public TextEncoding TextEncoding { get; }

    public const string ReadOnlyName = "default_transaction_read_only";

    private const int ApplicationNameIndex = 5;
    private const int MostNames = 64, LongestName = 63;

    // What is reported and nobody can set, or what is a client's own question of who it is.
    private static readonly string[] Untracked =
        ["server_version", "server_encoding", "integer_datetimes", "in_hot_standby", "is_superuser", "session_authorization"];

    // Names as PostgreSQL reports them, client_encoding first: it decides how the others are read. Replaced whole, never shortened.
    private static byte[][] _utf8Names =
    [
        "client_encoding"u8.ToArray(), "DateStyle"u8.ToArray(), "TimeZone"u8.ToArray(), "IntervalStyle"u8.ToArray(),
        "standard_conforming_strings"u8.ToArray(), "application_name"u8.ToArray(),
    ];

    private readonly string?[] _values;
    private readonly ulong _reported;

    private SessionParameters(string?[] values, ulong reported, TextEncoding encoding)
    {
        TextEncoding = encoding;
        _values = values;
        _reported = reported;
    }

    public static SessionParameters Empty { get; } = new([], 0, TextEncoding.Utf8);

    /// <summary>Null where this set says nothing.</summary>
    public string? this[int index] => index < _values.Length ? _values[index] : null;

    /// <summary>The values under which PostgreSQL reads the text of a statement: all but application_name.</summary>
    public string StatementSettings => field ??= string.Join('\n', _values.Where(static (_, i) => i != ApplicationNameIndex));

    /// <summary>The names it has a value for.</summary>
    public IEnumerable<string> NamesKnown => _values.Select(static (value, i) => (value, i)).Where(static v => v.value != null).Select(static v => Encoding.UTF8.GetString(_utf8Names[v.i]));

    public string ApplicationName => this[ApplicationNameIndex] ?? "";

    /// <summary>The index of a tracked name, in any case as PostgreSQL takes it; -1 when it is not tracked.</summary>
    public static int IndexOf(string name)
    {
        byte[] wanted = Encoding.UTF8.GetBytes(name);
        return Array.FindIndex(_utf8Names, n => System.Text.Ascii.EqualsIgnoreCase(n, wanted));
    }

    public static int IndexOf(ReadOnlySpan<byte> name)
    {
        byte[][] names = Volatile.Read(ref _utf8Names);
        for (int i = 0; i < names.Length; i++)
        {
            if (name.SequenceEqual(names[i]))
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>A server reports this name at its login: from now on it is tracked, if a client can set it.</summary>
    public static void Learn(ReadOnlySpan<byte> name)
    {
        byte[][] names = Volatile.Read(ref _utf8Names);
        while (IndexOf(name) < 0 && names.Length < MostNames && name.Length <= LongestName && !Untracked.Contains(Encoding.UTF8.GetString(name)))
        {
            byte[][] others = Interlocked.CompareExchange(ref _utf8Names, [.. names, name.ToArray()], names);
            if (ReferenceEquals(others, names))
            {
                return;
            }

            names = others; // Another thread has learnt one meanwhile.
        }
    }

    /// <summary>What a server has now, of a client whose own default_transaction_read_only it does not follow.</summary>
    public static SessionParameters TakenBy(SessionParameters server, SessionParameters client, bool isReadOnly) =>
        isReadOnly && IndexOf("default_transaction_read_only"u8) is >= 0 and int index && client[index] is { } own ? server.With(index, own, reported: true) : server;

    public SessionParameters With(int index, string value, bool reported)
    {
        ulong mask = reported ? _reported | (1UL << index) : _reported & ~(1UL << index);
        if (this[index] == value && mask == _reported)
        {
            return this;
        }

        string?[] values = new string?[Math.Max(_values.Length, index + 1)];
        _values.CopyTo(values, 0);
        values[index] = value;
        return new SessionParameters(values, mask, index == ClientEncoding ? ClassifierContext.EncodingOf(Encoding.ASCII.GetBytes(value)) : TextEncoding);
    }

    /// <summary>
    /// The statements that bring a server from <paramref name="current"/> to this; null when there is nothing to do. What this
    /// set does not know (its server was an older one) is as at the server's <paramref name="login"/>.
    /// <paramref name="allReported"/>: every value was spelled by a server, so none will be refused, and none decides who the
    /// client is or what it may do.
    /// </summary>
    public string? ChangesFrom(SessionParameters current, SessionParameters login, bool isReadOnly, out bool allReported)
    {
        allReported = true;
        if (ReferenceEquals(this, current) && !isReadOnly)
        {
            return null;
        }

        StringBuilder? text = null;
        int readOnly = isReadOnly ? IndexOf("default_transaction_read_only"u8) : -1;
        for (int i = 0; i < Math.Max(_values.Length, current._values.Length); i++)
        {
            if ((i == readOnly ? "on" : this[i] ?? login[i]) is { } value && value != current[i])
            {
                bool isWellKnown = i < WellKnown;
                allReported &= isWellKnown && (_reported & (1UL << i)) != 0;
                SettingText.AppendSet(text ??= new StringBuilder(), Encoding.UTF8.GetString(_utf8Names[i]), value, isWellKnown);
            }
        }

        return text?.ToString();
    }

    /// <summary>
    /// Values come from strangers and are read under whatever encoding the server has just now: of the well-known settings only
    /// printable ASCII passes (PostgreSQL, too, replaces all else in application_name).
    /// </summary>
    public static string Clean(string value) =>
        value.AsSpan().IndexOfAnyExceptInRange(' ', '~') < 0 ? value : string.Create(value.Length, value, static (span, v) =>
        {
            for (int i = 0; i < v.Length; i++)
            {
                span[i] = v[i] is >= ' ' and <= '~' ? v[i] : '?';
            }
        });
}
