using Pooler.Backend;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// The secrets of users who are not in auth_file, by auth_query: one question at a time for a user, however many of its clients log
/// in, and its answer kept for auth_query_cache_time. Lives on one I/O thread; clients of others post to it.
/// </summary>
internal sealed class SecretQueries(IoThread thread, LiveConfig live, PoolSource source, StatementCatalogue catalogue)
{
    private const int MostKept = 10_000, MostQueries = 1_000;

    private readonly Dictionary<(string Entry, string AuthUser, string Query), AuthQuery> _queries = [];
    private readonly Dictionary<(string Entry, string User), Question> _questions = [];

    public static string? AuthUserOf(PoolerConfig config, DatabaseConfig database) => database.AuthUser ?? config.Get(Settings.AuthUser);

    /// <summary>From any I/O thread.</summary>
    public void Ask(DatabaseConfig database, string user, SecretRequest request) => thread.Post(() => AskHere(database, user, request));

    /// <summary>A login by what was said has failed: the secret may have been changed. From any I/O thread.</summary>
    public void Forget(DatabaseConfig database, string user) => thread.Post(() =>
    {
        if (_questions.TryGetValue((database.Name, user), out Question? question) && question.Answer != null)
        {
            _questions.Remove((database.Name, user));
        }
    });

    /// <summary>After a RELOAD: what is asked next goes by the new configuration.</summary>
    public void Reconfigure() => thread.Post(() =>
    {
        foreach (AuthQuery query in _queries.Values)
        {
            query.Retire();
        }

        _queries.Clear();
        _questions.Clear();
    });

    private void AskHere(DatabaseConfig database, string user, SecretRequest request)
    {
        (string, string) key = (database.Name, user);
        if (_questions.TryGetValue(key, out Question? question) && (question.Answer == null || thread.Now < question.Until))
        {
            question.Add(request);
            return;
        }

        if (Find(database.Name, out string problem) is not { } query)
        {
            request.Done(new AuthAnswer(null, ServerErrors.Violation.Fields(problem)));
            return;
        }

        if (_questions.Count >= MostKept)
        {
            Shrink();
        }

        var asked = new Question();
        asked.Add(request);
        _questions[key] = asked;
        query.Ask(user, () => asked.IsWanted, answer =>
        {
            asked.End(answer, thread.Now + (long)live.Current.Get(Settings.AuthQueryCacheTime).TotalMicroseconds);
            if (answer.Error != null && _questions.GetValueOrDefault(key) == asked)
            {
                _questions.Remove(key);
            }
        });
    }

    private void Shrink()
    {
        foreach (((string, string) key, Question question) in _questions)
        {
            if (question.Answer != null)
            {
                _questions.Remove(key);
            }
        }
    }

    /// <summary>Of automatic databases anybody can name as many as he likes.</summary>
    private void ForgetUnused()
    {
        foreach (((string, string, string) key, AuthQuery query) in _queries)
        {
            if (query.IsUnused)
            {
                _queries.Remove(key);
            }
        }
    }

    /// <summary>By the configuration in force, which may not be the one that the login began with.</summary>
    private AuthQuery? Find(string name, out string problem)
    {
        PoolerConfig config = live.Current;
        DatabaseConfig? database = config.FindDatabase(name);
        if (database == null || AuthUserOf(config, database) is not { } user)
        {
            problem = database == null ? $"no such database: {name}" : "auth_user has been taken out of the configuration";
            return null;
        }

        string? entry = database.AuthDbName ?? config.Get(Settings.AuthDbName);
        DatabaseConfig? target = entry == null ? database : config.FindDatabase(entry);
        problem = $"auth_dbname: no such database: {entry}";
        if (target == null)
        {
            return null;
        }

        string text = database.AuthQuery ?? config.Get(Settings.AuthQuery);
        if (!_queries.TryGetValue((target.Name, user, text), out AuthQuery? query))
        {
            if (_queries.Count >= MostQueries)
            {
                ForgetUnused();
            }

            var times = new AuthQueryTimes(
                config.Get(Settings.ServerConnectTimeout), config.Get(Settings.ServerLoginRetry), config.Get(Settings.ServerIdleTimeout),
                target.ServerLifetime ?? config.Get(Settings.ServerLifetime));
            _queries[(target.Name, user, text)] = query = new AuthQuery(thread, source.TargetOfAuthQuery(target, user), catalogue, text, times);
        }

        return query;
    }

    private sealed class Question
    {
        private readonly List<SecretRequest> _requests = [];

        public AuthAnswer? Answer { get; private set; }

        /// <summary>Thread clock, microseconds.</summary>
        public long Until { get; private set; }

        public bool IsWanted => _requests.Exists(static request => request.IsWanted);

        public void Add(SecretRequest request)
        {
            if (Answer is { } answer)
            {
                request.Done(answer);
            }
            else
            {
                _requests.Add(request);
            }
        }

        public void End(AuthAnswer answer, long until)
        {
            (Answer, Until) = (answer, until);
            _requests.ForEach(request => request.Done(answer));
            _requests.Clear();
        }
    }
}
