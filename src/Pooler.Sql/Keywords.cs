namespace Pooler.Sql;

/// <summary>The key words of PostgreSQL 14 to 18 together (pg_get_keywords()).</summary>
internal static class Keywords
{
    private const string Reserved = """
        all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
        current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc distinct
        do else end except false fetch for foreign from grant group having in initially intersect into lateral leading limit
        localtime localtimestamp not null offset on only or order placing primary references returning select session_user some
        symmetric system_user table then to trailing true union unique user using variadic when where window with
        """;

    /// <summary>Those that name no function without quotes, and others behind which a bracket is not that of a call.</summary>
    private const string Syntax = """
        between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int integer
        interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
        json_table json_value least merge_action national nchar none normalize nullif numeric out overlay position precision
        real row setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists
        xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
        by columns cube escape filter first ilike join like materialized next operator over passing path rollup second sets
        varying zone
        """;

    private const string Names = """
        authorization binary collation concurrently cross current_schema freeze full inner is isnull left natural notnull outer
        overlaps right similar tablesample verbose
        abort absent absolute access action add admin after aggregate also alter always asensitive assertion assignment at
        atomic attach attribute backward before begin breadth cache call called cascade cascaded catalog chain characteristics
        checkpoint class close cluster comment comments commit committed compression conditional configuration conflict
        connection constraints content continue conversion copy cost csv current cursor cycle data database day deallocate
        declare defaults deferred definer delete delimiter delimiters depends depth detach dictionary disable discard document
        domain double drop each empty enable encoding encrypted enforced enum error event exclude excluding exclusive execute
        explain expression extension external family finalize following force format forward function functions generated
        global granted groups handler header hold hour identity if immediate immutable implicit import include including
        increment indent index indexes inherit inherits inline input insensitive insert instead invoker isolation keep key keys
        label language large last leakproof level listen load local location lock locked logged mapping match matched maxvalue
        merge method minute minvalue mode month move name names nested new nfc nfd nfkc nfkd no normalized nothing notify nowait
        nulls object objects of off oids old omit option options ordinality others overriding owned owner parallel parameter
        parser partial partition password period plan plans policy preceding prepare prepared preserve prior privileges
        procedural procedure procedures program publication quote quotes range read reassign recheck recursive ref referencing
        refresh reindex relative release rename repeatable replace replica reset restart restrict return returns revoke role
        rollback routine routines rows rule savepoint scalar schema schemas scroll search security sequence sequences
        serializable server session set share show simple skip snapshot source sql stable standalone start statement statistics
        stdin stdout storage stored strict string strip subscription support sysid system tables tablespace target temp template
        temporary text ties transaction transform trigger truncate trusted type types uescape unbounded uncommitted
        unconditional unencrypted unknown unlisten unlogged until update vacuum valid validate validator value version view
        views virtual volatile whitespace within without work wrapper write xml year yes
        """;

    private static readonly NameTable<Keyword> All = new(Read());

    /// <summary>The key word a name without quotes is; the default if it is none.</summary>
    public static Keyword Find(ReadOnlySpan<byte> name, ulong hash) => All.Find(name, hash, isFolded: true);

    private static Dictionary<string, Keyword> Read()
    {
        Dictionary<string, SqlKeyword> words = [];
        foreach (SqlKeyword word in Enum.GetValues<SqlKeyword>())
        {
            words[word.ToString().ToLowerInvariant()] = word;
        }

        words["analyse"] = SqlKeyword.Analyze;
        Dictionary<string, Keyword> all = [];
        foreach ((string list, KeywordKind kind) in new[] { (Reserved, KeywordKind.Reserved), (Syntax, KeywordKind.Syntax), (Names, KeywordKind.Name) })
        {
            foreach (string name in list.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries))
            {
                all[name] = new Keyword(words.GetValueOrDefault(name, SqlKeyword.Other), kind);
            }
        }

        return all;
    }
}
