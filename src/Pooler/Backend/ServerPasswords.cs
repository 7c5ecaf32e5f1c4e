using Pooler.Net;

namespace Pooler.Backend;

/// <summary>
/// What password_command prints, for the servers that are logged in to with it: run on ordinary threads, once at a time for a user of a
/// host however many servers wait for it, few commands at once; kept for password_command_ttl. The lock is short: nothing is run or
/// called back under it.
/// </summary>
internal sealed class ServerPasswords
{
    private const int MostCommands = 8, MostKept = 10_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<PasswordCommand, Known> _known = [];
    private readonly Queue<Known> _queue = [];
    private int _running;

    /// <summary>Any thread may ask; <paramref name="done"/> is called once, at once or later, on any thread.</summary>
    public void Ask(PasswordCommand command, Action<PasswordAnswer> done)
    {
        PasswordAnswer? answer;
        bool isOneMore = false;
        lock (_lock)
        {
            Known known = Find(command);
            answer = known.Password != null && IoThread.Clock() < known.Until ? new PasswordAnswer(known.Password, null, IsKept: true) : null;
            if (answer == null)
            {
                known.Askers.Add(done);
                isOneMore = Begin(known);
            }
        }

        if (answer != null)
        {
            done(answer);
        }

        if (isOneMore)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static passwords => _ = passwords.WorkAsync(), this, preferLocal: false);
        }
    }

    /// <summary>A server has refused this one: the next who asks gets another.</summary>
    public void Forget(PasswordCommand command, string password)
    {
        lock (_lock)
        {
            if (_known.TryGetValue(command, out Known? known) && known.Password == password)
            {
                known.Password = null;
            }
        }
    }

    /// <summary>RELOAD: commands may print something else now.</summary>
    public void Expire()
    {
        lock (_lock)
        {
            foreach (Known known in _known.Values)
            {
                known.Password = null;
            }
        }
    }

    private Known Find(PasswordCommand command)
    {
        if (_known.TryGetValue(command, out Known? known))
        {
            return known;
        }

        if (_known.Count >= MostKept)
        {
            foreach (Known idle in _known.Values.Where(static k => k.Askers.Count == 0).ToArray())
            {
                _known.Remove(idle.Command);
            }
        }

        _known.Add(command, known = new Known(command));
        return known;
    }

    /// <summary>Whether there is to be one more who runs commands.</summary>
    private bool Begin(Known known)
    {
        if (known.IsAsked)
        {
            return false;
        }

        known.IsAsked = true;
        _queue.Enqueue(known);
        bool isOneMore = _running < MostCommands;
        _running += isOneMore ? 1 : 0;
        return isOneMore;
    }

    private async Task WorkAsync()
    {
        while (TakeNext() is { } known)
        {
            Record(known, await known.Command.RunAsync().ConfigureAwait(false));
        }
    }

    private Known? TakeNext()
    {
        lock (_lock)
        {
            if (_queue.TryDequeue(out Known? known))
            {
                return known;
            }

            _running--;
            return null;
        }
    }

    private void Record(Known known, PasswordAnswer answer)
    {
        Action<PasswordAnswer>[] askers;
        lock (_lock)
        {
            known.IsAsked = false;
            known.Password = answer.Password;
            known.Until = IoThread.Clock() + (long)TokenLife.Of(answer.Password, known.Command.KeepTime).TotalMicroseconds;
            askers = [.. known.Askers];
            known.Askers.Clear();
        }

        Array.ForEach(askers, done => done(answer));
    }

    /// <summary>One command; guarded by the lock.</summary>
    private sealed class Known(PasswordCommand command)
    {
        public PasswordCommand Command => command;

        public List<Action<PasswordAnswer>> Askers { get; } = [];

        /// <summary>Null: it is to be asked for.</summary>
        public string? Password { get; set; }

        /// <summary>It runs, or waits for its turn.</summary>
        public bool IsAsked { get; set; }

        /// <summary>Until then the password is good (<see cref="IoThread.Clock"/>).</summary>
        public long Until { get; set; }
    }
}
