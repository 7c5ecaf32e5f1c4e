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

    // What a call looks up, what every name, what every operator: the last two are small.
    private readonly NameTable<NameUse> _functions;
    private readonly NameTable<bool> _unsafe, _operators;

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
        _functions = new NameTable<NameUse>(uses.Where(static use => (use.Value & NameUse.Call) != 0)
            .Select(static use => KeyValuePair.Create(Written(use.Key), use.Value)));
        _unsafe = Those(uses, NameUse.Unsafe);
        _operators = Those(uses, NameUse.VolatileOperator);
    }

    private VolatileNames()
        : this([], [], []) => IsEverythingVolatile = true;

    /// <summary>No catalogue is known yet: every query may write.</summary>
    public static VolatileNames Unknown { get; } = new();

    /// <summary>Whether a query may run something volatile that it does not name.</summary>
    internal bool IsEverythingVolatile { get; }

    /// <summary>What a function of this name is; nothing if there is none.</summary>
    internal NameUse FindFunction(ReadOnlySpan<byte> name, ulong hash, bool isFolded) => _functions.Find(name, hash, isFolded);

    internal bool IsUnsafe(ReadOnlySpan<byte> name, ulong hash, bool isFolded) => _unsafe.Find(name, hash, isFolded);

    internal bool IsVolatileOperator(ReadOnlySpan<byte> symbol, ulong hash) => _operators.Find(symbol, hash, isFolded: false);

    private static NameTable<bool> Those(Dictionary<string, NameUse> uses, NameUse use) =>
        new(uses.Where(pair => (pair.Value & use) != 0).Select(static pair => KeyValuePair.Create(Written(pair.Key), true)));

    /// <summary>Names in quotes are looked up as they are written: a quote in them is doubled.</summary>
    private static string Written(string name) => name.Replace("\"", "\"\"", StringComparison.Ordinal);

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
