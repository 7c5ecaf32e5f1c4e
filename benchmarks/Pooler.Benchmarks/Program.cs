using BenchmarkDotNet.Running;
using Pooler.Benchmarks;

// dotnet run -c Release --project benchmarks/Pooler.Benchmarks -- --filter '*'     times (BenchmarkDotNet's own options)
// dotnet run -c Release --project benchmarks/Pooler.Benchmarks -- --budgets        bytes allocated, against budgets.json
if (args is ["--budgets"])
{
    return AllocationBudgets.Check();
}

BenchmarkSwitcher.FromAssembly(typeof(AllocationBudgets).Assembly).Run(args);
return 0;
