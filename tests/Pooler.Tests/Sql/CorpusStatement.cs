using System.Text;
using Pooler.Sql;

namespace Pooler.Tests.Sql;

/// <summary>A statement of corpus.txt and what the classifier has to say of it.</summary>
internal sealed record CorpusStatement(int Line, string Section, string Text)
{
    private static readonly string[] Remarks = ["elsewhere", "harmless"];

    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "Sql");

    public byte[] Bytes => Encoding.UTF8.GetBytes(Text);

    public string Class => Section.Split(' ')[0];

    public bool Has(string word) => Section.Split(' ').Contains(word);

    /// <summary>The section without the remarks that are none of the classifier's business.</summary>
    public string Expected => string.Join(' ', Section.Split(' ').Except(Remarks));

    /// <summary>All statements, in the order of the file.</summary>
    public static List<CorpusStatement> Read()
    {
        List<CorpusStatement> all = [];
        string section = "";
        int number = 0;
        foreach (string line in File.ReadLines(Path.Combine(Folder, "corpus.txt")))
        {
            number++;
            if (line.StartsWith('['))
            {
                section = line.Trim('[', ']');
            }
            else if (line.Length > 0 && line[0] != '#')
            {
                all.Add(new CorpusStatement(number, section, line.Replace('⏎', '\n')));
            }
        }

        return all;
    }

    /// <summary>The names the statements need, as <see cref="CatalogueQuery"/> gave them for corpus-schema.sql.</summary>
    public static VolatileNames Catalogue() =>
        new(File.ReadLines(Path.Combine(Folder, "corpus-catalogue.txt")).Select(static line => (line[0], line[2..])), [], []);

    /// <summary>What the classifier said, in the words of a section. Of steps only what the section speaks of.</summary>
    public string Told(StatementSummary told)
    {
        var words = new StringBuilder(told.Class.ToString().ToLowerInvariant());
        bool hasSteps = told.Class == StatementClass.Transaction || Has("TwoPhase");
        Add(words, hasSteps && told.Step != TransactionStep.None, told.Step.ToString());
        Add(words, hasSteps && told.Access != TransactionAccess.None, told.Access.ToString());
        Add(words, told.IsSerializable, "serializable");
        Add(words, told.IsSeveral, "several");
        Add(words, told.Hint != RouteHint.None, told.Hint.ToString());
        return words.ToString();
    }

    private static void Add(StringBuilder words, bool isSaid, string word) => words.Append(isSaid ? " " + word : "");
}
