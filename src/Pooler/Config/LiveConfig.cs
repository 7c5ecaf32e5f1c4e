namespace Pooler.Config;

/// <summary>The configuration in force: one immutable snapshot, swapped by RELOAD and SET, read by anyone.</summary>
internal sealed class LiveConfig(PoolerConfig first)
{
    private volatile PoolerConfig _current = first;

    public PoolerConfig Current
    {
        get => _current;
        set => _current = value;
    }
}
