using System.Text;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// Startup parameters of a client, and the record of those that were set on a server; immutable. In PostgreSQL they are what RESET
/// goes back to; a server that many share can only have them set and reset.
/// </summary>
internal sealed class StartupParameters
{
    private const string Role = "role", SessionAuthorization = "session_authorization";

    // Of one value that a server tells, and how many of them.
    private const int LongestTold = 200, MostTold = 32;

    private readonly StartupParameter[] _values;

    private StartupParameters(StartupParameter[] values) => _values = values;

    public static StartupParameters Empty { get; } = new([]);

    public int Count => _values.Length;

    /// <summary>Names and values in one text: equal for equal parameters.</summary>
    public string Text => field ??= string.Join('\n', _values.Select(static v => $"{v.Name}={v.Value}"));

    public IReadOnlyList<StartupParameter> All => _values;

    public IEnumerable<string> Names => _values.Select(static v => v.Name);

    public string? this[string name] => Array.Find(_values, v => v.Name == name).Value;

    /// <summary>The last value of a name counts. Who the client is comes last: what only it may set is set before.</summary>
    public static StartupParameters Of(IEnumerable<StartupParameter> values)
    {
        var last = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (StartupParameter value in values)
        {
            last[value.Name.ToLowerInvariant()] = value.Value;
        }

        return last.Count == 0 ? Empty : new([.. last.Select(static v => new StartupParameter(v.Key, v.Value)).OrderBy(static v => Rank(v.Name))]);
    }

    /// <summary>
    /// Those a client may change later, and keep, without keeping its server: a server tells what they are, they are set on the next.
    /// Not who the client is, and not what cannot be told in short and alike in all encodings.
    /// </summary>
    public IEnumerable<string> Told => _values.Where(static v => Rank(v.Name) == 0 && CanBeTold(v.Value)).Take(MostTold).Select(static v => v.Name);

    /// <summary>What asks a server for <see cref="Told"/>: each a column behind a comma.</summary>
    public void AppendQuestions(StringBuilder text)
    {
        foreach (string name in Told)
        {
            text.Append(",pg_catalog.left(pg_catalog.current_setting(");
            SettingText.AppendQuoted(text, name);
            text.Append($",true),{LongestTold + 1})");
        }
    }

    /// <summary>With what a server has told of <see cref="Told"/>, in this order; null when a value cannot be carried.</summary>
    public StartupParameters? With(IReadOnlyList<string?> told)
    {
        if (!told.All(static value => value != null && CanBeTold(value)))
        {
            return null;
        }

        StartupParameters changed = Of(_values.Concat(Told.Zip(told, static (name, value) => new StartupParameter(name, value!))));
        return Matches(changed) ? this : changed;
    }

    /// <summary>With the values they have in the startup packet.</summary>
    public StartupParameters BackTo(StartupParameters startup)
    {
        StartupParameters first = Of(_values.Select(v => v with { Value = startup[v.Name] ?? v.Value }));
        return Matches(first) ? this : first;
    }

    public bool Matches(StartupParameters other) => ReferenceEquals(this, other) || _values.AsSpan().SequenceEqual(other._values);

    /// <summary>
    /// The RESETs that come before a server with this record gets what is wanted; null when there are none. Who it is goes back
    /// first whenever anything changes: only the login itself may set everything.
    /// </summary>
    public string? ResetsFor(StartupParameters wanted)
    {
        if (Matches(wanted))
        {
            return null;
        }

        StringBuilder? text = null;
        for (int i = _values.Length - 1; i >= 0; i--)
        {
            string name = _values[i].Name;
            if (Rank(name) > 0 || wanted[name] == null)
            {
                (text ??= new StringBuilder()).Append("RESET \"").Append(name).Append("\";");
            }
        }

        return text?.ToString();
    }

    /// <summary>What is set then, on a server that had <paramref name="record"/>; null when there is nothing to do.</summary>
    public string? SetsFrom(StartupParameters record)
    {
        if (Matches(record))
        {
            return null;
        }

        StringBuilder? text = null;
        foreach (StartupParameter value in _values)
        {
            if (Rank(value.Name) > 0 || record[value.Name] != value.Value)
            {
                SettingText.AppendSet(text ??= new StringBuilder(), value.Name, value.Value);
            }
        }

        return text?.ToString();
    }

    /// <summary>
    /// After a RESET of the client's: what it has reset goes back to the values of its startup packet. What was not reset but set
    /// (source is session) stays. pg_settings does not list role and names of no library: empty and none are what RESET leaves of them.
    /// </summary>
    public string RestoreQuery(string loginUser)
    {
        var text = new StringBuilder("SELECT pg_catalog.set_config(w.n,w.v,false) FROM (VALUES ");
        foreach (StartupParameter value in _values)
        {
            text.Append('(');
            SettingText.AppendQuoted(text, value.Name);
            text.Append("::text,");
            SettingText.AppendQuoted(text, value.Value);
            text.Append("::text),");
        }

        text.Length--;
        text.Append(") w(n,v) WHERE coalesce((SELECT s.source<>'session' FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name)=w.n),");
        text.Append("coalesce(pg_catalog.current_setting(w.n,true),'') IN ('','none') OR w.n='session_authorization' AND pg_catalog.current_setting(w.n)=");
        SettingText.AppendQuoted(text, loginUser);
        return text.Append(')').ToString();
    }

    private static bool CanBeTold(string value) => value.Length <= LongestTold && !value.AsSpan().ContainsAnyExceptInRange(' ', '~');

    private static int Rank(string name) => name switch
    {
        SessionAuthorization => 1,
        Role => 2,
        _ => 0,
    };
}
