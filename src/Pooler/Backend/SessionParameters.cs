using System.Text;

namespace Pooler.Backend;

/// <summary>
/// The reported settings that follow a client from server to server, as one immutable set that sessions and servers share:
/// equal sets are mostly the same object. A value counts as reported when a server itself spelled it so (ParameterStatus).
/// </summary>
internal sealed class SessionParameters
{
    /// <summary>Names as PostgreSQL reports them, client_encoding first: it decides how the others are read.</summary>
    public static readonly string[] Names =
        ["client_encoding", "DateStyle", "TimeZone", "IntervalStyle", "standard_conforming_strings", "application_name"];

    private static readonly byte[][] Utf8Names = [.. Names.Select(Encoding.ASCII.GetBytes)];

    private const int ApplicationNameIndex = 5;

    private readonly string?[] _values;
    private readonly int _reported;

    private SessionParameters(string?[] values, int reported)
    {
        _values = values;
        _reported = reported;
    }

    public static SessionParameters Empty { get; } = new(new string?[Names.Length], 0);

    public string? this[int index] => _values[index];

    /// <summary>The values under which PostgreSQL reads the text of a statement: all but application_name.</summary>
    public string StatementSettings => field ??= string.Join('\n', _values.AsSpan(0, ApplicationNameIndex)!);

    public string ApplicationName => _values[ApplicationNameIndex] ?? "";

    /// <summary>The index of a tracked name, in any case as PostgreSQL takes it; -1 when it is not tracked.</summary>
    public static int IndexOf(string name) => Array.FindIndex(Names, n => n.Equals(name, StringComparison.OrdinalIgnoreCase));

    public static int IndexOf(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < Utf8Names.Length; i++)
        {
            if (name.SequenceEqual(Utf8Names[i]))
            {
                return i;
            }
        }

        return -1;
    }

    public SessionParameters With(int index, string value, bool reported)
    {
        int mask = reported ? _reported | (1 << index) : _reported & ~(1 << index);
        if (_values[index] == value && mask == _reported)
        {
            return this;
        }

        var values = (string?[])_values.Clone();
        values[index] = value;
        return new SessionParameters(values, mask);
    }

    /// <summary>Whether both hold the same values, whoever spelled them.</summary>
    public bool Matches(SessionParameters other) => ReferenceEquals(this, other) || _values.AsSpan().SequenceEqual(other._values);

    /// <summary>
    /// The SET statements that bring a server from <paramref name="current"/> to this; null when there is nothing to do.
    /// <paramref name="allReported"/>: every value was spelled by a server, so none will be refused.
    /// </summary>
    public string? ChangesFrom(SessionParameters current, out bool allReported)
    {
        StringBuilder? text = null;
        allReported = true;
        for (int i = 0; i < _values.Length; i++)
        {
            if (_values[i] is { } value && value != current._values[i])
            {
                allReported &= (_reported & (1 << i)) != 0;
                text ??= new StringBuilder();
                text.Append("SET ").Append(Names[i]).Append(" TO ").Append(Quote(value)).Append(';');
            }
        }

        return text?.ToString();
    }

    /// <summary>
    /// Values come from strangers and are read under whatever encoding the server has just now: only printable ASCII passes
    /// (PostgreSQL, too, replaces all else in application_name), quoted so that backslashes mean the same in every setting.
    /// </summary>
    public static string Clean(string value) =>
        value.AsSpan().IndexOfAnyExceptInRange(' ', '~') < 0 ? value : string.Create(value.Length, value, static (span, v) =>
        {
            for (int i = 0; i < v.Length; i++)
            {
                span[i] = v[i] is >= ' ' and <= '~' ? v[i] : '?';
            }
        });

    private static string Quote(string value) => "E'" + Clean(value).Replace(@"\", @"\\").Replace("'", "''") + "'";
}
