using System.Numerics;

namespace Pooler.Net;

/// <summary>
/// All deadlines of one I/O thread: 1024 slots of 10 ms, a bitmap of those in use. Setting and clearing are O(1); a deadline
/// farther than one turn of the wheel (10 s) is looked at once a turn.
/// </summary>
internal sealed class TimingWheel
{
    private const int Slots = 1024;
    private const long TickMicroseconds = 10_000;

    private readonly WheelTimer?[] _slots = new WheelTimer?[Slots];
    private readonly ulong[] _used = new ulong[Slots / 64];
    private long _tick;

    /// <summary>Sets, or moves, a deadline at <paramref name="due"/> microseconds.</summary>
    public void Set(WheelTimer timer, long due)
    {
        if (due == WheelTimer.Never)
        {
            timer.Due = due; // What is linked drops out when its slot comes.
            return;
        }

        bool later = timer.Slot >= 0 && due >= timer.Due && timer.Due != WheelTimer.Never;
        timer.Due = due;
        if (!later)
        {
            Unlink(timer);
            Link(timer);
        }
    }

    /// <summary>Clears a deadline for good: the wheel lets go of the timer.</summary>
    public void Clear(WheelTimer timer)
    {
        timer.Due = WheelTimer.Never;
        Unlink(timer);
    }

    /// <summary>Milliseconds until the wheel wants to be turned, -1 when nothing is set.</summary>
    public int Timeout(long now)
    {
        long current = now / TickMicroseconds;
        if (_tick < current)
        {
            _tick = Math.Max(_tick, current - Slots);
        }

        for (int i = 0; i <= Slots / 64; i++)
        {
            int word = (int)(((_tick + 1) / 64 + i) % (Slots / 64));
            ulong bits = _used[word];
            if (i == 0)
            {
                bits &= ulong.MaxValue << (int)((_tick + 1) % 64);
            }

            if (bits != 0)
            {
                int slot = (word * 64) + BitOperations.TrailingZeroCount(bits);
                long ahead = ((slot - (_tick + 1)) % Slots + Slots) % Slots;
                return (int)Math.Max(0, (((_tick + 1 + ahead) * TickMicroseconds) - now + 999) / 1000);
            }
        }

        return -1;
    }

    /// <summary>Fires everything due at <paramref name="now"/>.</summary>
    public void Turn(long now)
    {
        long current = now / TickMicroseconds;
        if (current - _tick > Slots)
        {
            _tick = current - Slots;
        }

        while (_tick < current)
        {
            _tick++;
            int slot = (int)(_tick % Slots);
            if ((_used[slot / 64] & (1UL << (slot % 64))) != 0)
            {
                FireSlot(slot, now);
            }
        }
    }

    private void FireSlot(int slot, long now)
    {
        WheelTimer? timer = _slots[slot];
        _slots[slot] = null;
        _used[slot / 64] &= ~(1UL << (slot % 64));

        // The chain is taken off first: a timer that is set again while it fires lands in a slot of its own.
        WheelTimer? chain = timer;
        for (; timer != null; timer = timer.Next)
        {
            timer.Slot = Detached;
        }

        while (chain != null)
        {
            WheelTimer next = chain;
            chain = next.Next;
            if (chain != null)
            {
                chain.Previous = null;
            }

            next.Next = next.Previous = null;
            next.Slot = -1;
            _detachedHead = chain;
            if (next.Due == WheelTimer.Never)
            {
                continue;
            }

            if (next.Due > now)
            {
                Link(next);
                continue;
            }

            next.Due = WheelTimer.Never;
            next.Expired();
            chain = _detachedHead;
        }

        _detachedHead = null;
    }

    // Timers of the slot that is being fired, still linked to each other but to no slot.
    private const int Detached = -2;
    private WheelTimer? _detachedHead;

    private void Link(WheelTimer timer)
    {
        // At least one tick ahead, rounded up: a deadline never comes early.
        long tick = Math.Max(_tick + 1, (timer.Due + TickMicroseconds - 1) / TickMicroseconds);
        int slot = (int)(tick % Slots);
        timer.Slot = slot;
        timer.Previous = null;
        timer.Next = _slots[slot];
        if (timer.Next != null)
        {
            timer.Next.Previous = timer;
        }

        _slots[slot] = timer;
        _used[slot / 64] |= 1UL << (slot % 64);
    }

    private void Unlink(WheelTimer timer)
    {
        if (timer.Slot == -1)
        {
            return;
        }

        if (timer.Next != null)
        {
            timer.Next.Previous = timer.Previous;
        }

        if (timer.Previous != null)
        {
            timer.Previous.Next = timer.Next;
        }
        else if (timer.Slot == Detached)
        {
            _detachedHead = timer.Next;
        }
        else
        {
            _slots[timer.Slot] = timer.Next;
            if (timer.Next == null)
            {
                _used[timer.Slot / 64] &= ~(1UL << (timer.Slot % 64));
            }
        }

        timer.Next = timer.Previous = null;
        timer.Slot = -1;
    }
}
