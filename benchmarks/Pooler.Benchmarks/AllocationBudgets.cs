using System.Globalization;
using System.Reflection;
using System.Text.Json;
using BenchmarkDotNet.Attributes;

namespace Pooler.Benchmarks;

/// <summary>
/// Runs every benchmark of this assembly 100,000 times and compares the bytes it allocated for each operation with
/// budgets.json. A benchmark without a budget, or a budget without its benchmark, is a failure too.
/// </summary>
internal static class AllocationBudgets
{
    private const int Operations = 100_000;

    /// <summary>Prints one line for each benchmark and the counts. Returns the exit status.</summary>
    public static int Check()
    {
        Dictionary<string, double> budgets = Read(Path.Combine(AppContext.BaseDirectory, "budgets.json"));
        int passed = 0, failed = 0;
        foreach (Type type in typeof(AllocationBudgets).Assembly.GetTypes().Where(type => type.IsPublic).OrderBy(type => type.Name))
        {
            foreach (MethodInfo method in type.GetMethods().Where(method => method.GetCustomAttribute<BenchmarkAttribute>() != null))
            {
                string name = $"{type.Name}.{method.Name}";
                string verdict;
                if (!budgets.Remove(name, out double budget))
                {
                    verdict = "FAILED: has no budget";
                }
                else
                {
                    double bytes = BytesPerOperation(type, method);
                    string figures = string.Create(CultureInfo.InvariantCulture, $"{bytes:F3} of {budget} bytes");
                    verdict = bytes <= budget ? figures : "FAILED: " + figures;
                }

                bool isGood = !verdict.StartsWith("FAILED", StringComparison.Ordinal);
                passed += isGood ? 1 : 0;
                failed += isGood ? 0 : 1;
                Console.WriteLine($"{name}: {verdict}");
            }
        }

        foreach (string name in budgets.Keys)
        {
            failed++;
            Console.WriteLine($"{name}: FAILED: no such benchmark");
        }

        Console.WriteLine($"{passed} passed, {failed} failed");
        return failed == 0 && passed > 0 ? 0 : 1;
    }

    private static Dictionary<string, double> Read(string path)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
        return document.RootElement.EnumerateObject().ToDictionary(budget => budget.Name, budget => budget.Value.GetDouble());
    }

    private static double BytesPerOperation(Type type, MethodInfo method)
    {
        object benchmark = Activator.CreateInstance(type)!;
        var run = method.CreateDelegate<Func<int>>(benchmark);
        int perInvoke = method.GetCustomAttribute<BenchmarkAttribute>()!.OperationsPerInvoke;
        int invokes = Math.Max(Operations / perInvoke, 1);
        bool allThreads = type.GetCustomAttribute<UsesOtherThreadsAttribute>() != null;
        Call<GlobalSetupAttribute>(benchmark);
        try
        {
            // The first half million steps of a loop are the compiler's; a second run is the steady state.
            Repeat(run, invokes);
            long before = Allocated(allThreads);
            Repeat(run, invokes);
            return (double)(Allocated(allThreads) - before) / ((long)invokes * perInvoke);
        }
        finally
        {
            Call<GlobalCleanupAttribute>(benchmark);
        }
    }

    private static int Repeat(Func<int> run, int times)
    {
        int sum = 0;
        for (int i = 0; i < times; i++)
        {
            sum += run();
        }

        return sum;
    }

    private static long Allocated(bool allThreads) =>
        allThreads ? GC.GetTotalAllocatedBytes(precise: true) : GC.GetAllocatedBytesForCurrentThread();

    private static void Call<TAttribute>(object benchmark)
        where TAttribute : Attribute
    {
        foreach (MethodInfo method in benchmark.GetType().GetMethods().Where(method => method.GetCustomAttribute<TAttribute>() != null))
        {
            method.Invoke(benchmark, null);
        }
    }
}
