using Pooler.Net;

namespace Pooler.Pooling;

/// <summary>What a decision asks threads to do, once the lock is left.</summary>
internal struct PoolTodo
{
    private List<(IoThread Thread, Action Act)>? _items;

    public void Add(IoThread thread, Action act) => (_items ??= []).Add((thread, act));

    public readonly void Do()
    {
        if (_items == null)
        {
            return;
        }

        foreach ((IoThread thread, Action act) in _items)
        {
            thread.Post(act);
        }
    }
}
