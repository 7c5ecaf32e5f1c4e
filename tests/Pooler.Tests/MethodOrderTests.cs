using System.Reflection;
using System.Text.RegularExpressions;
using Pooler.Config;
using Pooler.Tests.Config;
using Xunit;

namespace Pooler.Tests;

/// <summary>pooler.order names methods as the compiler does; what is renamed falls out of it without a word.</summary>
public sealed partial class MethodOrderTests
{
    [Fact]
    public void MostOfItsMethodsAreStillThere()
    {
        string[] lines = File.ReadAllLines(Repository.Path("src", "Pooler", "pooler.order"));
        Assert.Equal(lines.Length, lines.Distinct(StringComparer.Ordinal).Count());
        HashSet<string> present = [.. typeof(PoolerConfig).Assembly.GetTypes().SelectMany(static t => MethodsOf(t).Select(m => $"pooler_{Mangled(t.FullName!)}__{Mangled(m)}"))];

        // Not those that the compiler has numbered: lambdas and the like.
        string[] own = [.. lines.Where(static l => l.StartsWith("pooler_", StringComparison.Ordinal) && !l.Contains('<') && !Numbered().IsMatch(l))];
        string[] gone = [.. own.Where(l => !present.Contains(l) && !present.Contains(Overload().Replace(l, "")))];
        Assert.True(own.Length > 500, $"{own.Length} methods of Pooler's own");
        Assert.True(gone.Length < own.Length / 10, $"{gone.Length} of {own.Length} are gone, run scripts/order.sh: {string.Join(' ', gone.Take(10))}");
    }

    private static IEnumerable<string> MethodsOf(Type type) => type
        .GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
        .OfType<MethodBase>().Select(static m => m.Name);

    private static string Mangled(string name) => Special().Replace(name, "_");

    [GeneratedRegex("[^A-Za-z0-9_]")]
    private static partial Regex Special();

    [GeneratedRegex("_[bdg]__|__c__|___c_")]
    private static partial Regex Numbered();

    [GeneratedRegex("_[0-9]+$")]
    private static partial Regex Overload();
}
