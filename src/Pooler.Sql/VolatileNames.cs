namespace Pooler.Sql;

/// <summary>
/// What the names of a database's catalogue mean for reads: an immutable snapshot, built from the rows of
/// <see cref="CatalogueQuery"/>. Schemas are left out: a name is volatile if any object of that name is.
/// </summary>
public sealed class VolatileNames
{
    // Keywords that use an operator without naming it.
    private static readonly (string Operator, string Keyword)[] Hidden =
        [("~~", "like"), ("!~~", "like"), ("~~*", "ilike"), ("!~~*", "ilike"), ("~", "similar"), ("!~", "similar"), (">=", "between"), ("<=", "between")];

    // Those that sorting, grouping, IN, DISTINCT, joins and CASE use.
    private static readonly string[] Everywhere = ["=", "<", ">"];

    private readonly NameTable<NameUse> _names;

    /// <param name="catalogue">The rows: one of <see cref="CatalogueKind"/> and a name.</param>
    /// <param name="allow">Functions, relations, types and operators that count as harmless whatever the catalogue says.</param>
    /// <param name="deny">Those that count as volatile.</param>
    public VolatileNames(IEnumerable<(char Kind, string Name)> catalogue, IReadOnlyCollection<string> allow, IReadOnlyCollection<string> deny)
    {
        Dictionary<string, NameUse> uses = [];
        foreach ((char kind, string name) in catalogue)
        {
            uses[name] = uses.GetValueOrDefault(name) | UseOf(kind, name);
        }

        foreach (string name in allow)
        {
            uses[name] = NameUse.Function;
        }

        foreach (string name in deny)
        {
            uses[name] = NameUse.VolatileFunction | NameUse.Unsafe | NameUse.VolatileOperator;
        }

        foreach ((string symbol, string keyword) in Hidden.Where(pair => IsVolatileOperator(uses, pair.Operator)))
        {
            uses[keyword] = uses.GetValueOrDefault(keyword) | NameUse.Unsafe;
        }

        IsEverythingVolatile = Everywhere.Any(symbol => IsVolatileOperator(uses, symbol));

        // Names in quotes are looked up as they are written: a quote in them is doubled.
        _names = new NameTable<NameUse>(uses.ToDictionary(static use => use.Key.Replace("\"", "\"\"", StringComparison.Ordinal), static use => use.Value));
    }

    private VolatileNames()
    {
        IsEverythingVolatile = true;
        _names = new NameTable<NameUse>(new Dictionary<string, NameUse>());
    }

    /// <summary>No catalogue is known yet: every query may write.</summary>
    public static VolatileNames Unknown { get; } = new();

    /// <summary>Whether a query may run something volatile that it does not name.</summary>
    internal bool IsEverythingVolatile { get; }

    internal NameUse Find(ReadOnlySpan<byte> name, ulong hash, bool isFolded) => _names.Find(name, hash, isFolded);

    internal NameUse Find(ReadOnlySpan<byte> name) => _names.Find(name);

    private static bool IsVolatileOperator(Dictionary<string, NameUse> uses, string symbol) => (uses.GetValueOrDefault(symbol) & NameUse.VolatileOperator) != 0;

    private static NameUse UseOf(char kind, string name) => kind switch
    {
        CatalogueKind.Function => name == "current_setting" ? NameUse.Function | NameUse.SettingFunction : NameUse.Function,
        CatalogueKind.VolatileFunction => NameUse.VolatileFunction,
        CatalogueKind.SessionFunction => NameUse.SessionFunction,
        CatalogueKind.Unsafe => NameUse.Unsafe,
        CatalogueKind.VolatileOperator => NameUse.VolatileOperator,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "no kind of the catalogue's rows"),
    };
}
