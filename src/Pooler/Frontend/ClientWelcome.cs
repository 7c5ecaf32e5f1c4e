using Pooler.Backend;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Session;
using Pooler.Sql;

namespace Pooler.Frontend;

/// <summary>
/// The last part of a login: a client that has proved who it is gets what servers report, its cancel key and its session. While
/// nobody knows yet what servers of its pool report it waits for the first of them.
/// </summary>
internal sealed class ClientWelcome : Waiter
{
    private readonly ClientLogin _login;
    private readonly LoginContext _context;
    private readonly PoolerConfig _config;
    private readonly ClientIdentity _identity;
    private readonly DatabaseConfig _database;
    private RouteHint _route;

    public ClientWelcome(ClientLogin login, LoginContext context, PoolerConfig config, ClientIdentity identity, DatabaseConfig database)
    {
        (_login, _context, _config, _identity, _database) = (login, context, config, identity, database);
        WantsWelcome = true;
    }

    public required string ApplicationName { get; init; }

    /// <summary>Protocol 3.2: a cancel key longer than four bytes.</summary>
    public required bool HasLongKey { get; init; }

    public bool IsWaiting => State == WaiterState.Waiting;

    internal override LoginFacts Login => new(Client, _identity.Database, _identity.User, ApplicationName, _login.StartedAt);

    private Connection Client => _login.Client;

    private MessageWriter Writer => new(Client.Outbox);

    internal override void Wake() => Client.Input.Wake();

    /// <summary>Null when the client has left, or is told why not.</summary>
    public async ValueTask<ClientSession?> RunAsync(List<StartupParameter> asked)
    {
        if (!TakeRoute(asked))
        {
            return _login.Refuse(LoginErrors.BadRoute.Fields(PoolerAnswers.RouteName));
        }

        ServerPool pool = _context.Pools.Get(_database, _identity.User);
        WelcomeSet? welcome = pool.Welcome ?? await AwaitWelcomeAsync(pool);
        if (welcome == null)
        {
            return null;
        }

        int ofDatabase = _database.MaxDbClientConnections ?? _config.Get(Settings.MaxDbClientConnections);
        int ofUser = _config.Users.GetValueOrDefault(_identity.User)?.MaxUserClientConnections ?? _config.Get(Settings.MaxUserClientConnections);
        if (_context.Pools.CountClient(pool, _identity.User, ofDatabase, ofUser) is { } limit)
        {
            string who = limit == Settings.MaxDbClientConnections ? $"database \"{_identity.Database}\"" : $"user \"{_identity.User}\"";
            return _login.Refuse(LoginErrors.TooManyOf.Because(
                $"As many clients of {who} are connected as may be.", SettingPlace.Of(_config, limit, _identity.Database, _identity.User), limit.Name));
        }

        SessionParameters parameters = welcome.Tracked;
        List<StartupParameter> unreported = [];
        foreach (StartupParameter parameter in asked)
        {
            int index = SessionParameters.IndexOf(parameter.Name);
            if (index >= SessionParameters.WellKnown && welcome.Tracked[index] == null)
            {
                index = -1; // Another pool's servers report it.
            }

            if (index < 0)
            {
                unreported.Add(parameter);
            }
            else if (parameter.Value != parameters[index])
            {
                parameters = parameters.With(index, parameter.Value, reported: false);
            }
        }

        foreach ((string name, string value) in welcome.Values)
        {
            int index = SessionParameters.IndexOf(name);
            Writer.WriteParameterStatus(name, index >= 0 ? parameters[index]! : value);
        }

        ClientSession session = Admit(pool, parameters, StartupParameters.Of(asked), StartupParameters.Of(unreported));
        Writer.WriteBackendKeyData(session.CancelKey.ProcessId, _context.Sessions.Keys.SecretOf(session.CancelKey, HasLongKey));
        if (_config.Get(Settings.LoginNotifyMessage) is { Length: > 0 } message)
        {
            Writer.WriteNotice("NOTICE", "00000", message);
        }

        Writer.WriteReadyForQuery((byte)'I');
        Client.Outbox.Flush();
        return session;
    }

    /// <summary>pooler.route is for ourselves: no server gets it. False when it has no such value.</summary>
    private bool TakeRoute(List<StartupParameter> asked)
    {
        foreach (StartupParameter parameter in asked.Where(static p => p.Name.Equals(PoolerAnswers.RouteName, StringComparison.OrdinalIgnoreCase)))
        {
            if (PoolerAnswers.HintOf(parameter.Value) is not { } hint)
            {
                return false;
            }

            _route = hint;
        }

        asked.RemoveAll(static p => p.Name.Equals(PoolerAnswers.RouteName, StringComparison.OrdinalIgnoreCase));
        return true;
    }

    private ClientSession Admit(ServerPool pool, SessionParameters parameters, StartupParameters startup, StartupParameters unreported)
    {
        // Timeouts are the login user's, the mode and sizes the pool's (they differ under a forced user).
        // Everybody else shares the pool's record, as strings are shared: clients are many.
        bool isPoolsUser = _identity.User == pool.Key.User;
        PoolSettings settings = isPoolsUser ? pool.Settings : _config.Resolve(_database, _identity.User) with { Mode = pool.Settings.Mode };
        var shared = new ClientIdentity(pool.Key.Database, isPoolsUser ? pool.Key.User : _identity.User);
        var session = new ClientSession(
            Client, shared, pool, _context.Pools, settings, _config.Get(Settings.DisablePqExec), _config.Get(Settings.MaxPacketSize), parameters, _context.SessionEnded)
        {
            HasLongKey = HasLongKey,
            Startup = startup,
            Statements = _context.Statements?.Of(Client.Owner),
            StartupRoute = _route,
            Unreported = unreported,
        };
        _context.Sessions.Add(session);
        pool.Stats[Client.Owner.Index].Logins++;
        _context.Pools.Counts.Logins.Add("ok");
        return session;
    }

    /// <summary>The pool's first server tells what to greet with: a database that is down shows up as a failed login (PgBouncer).</summary>
    private async ValueTask<WelcomeSet?> AwaitWelcomeAsync(ServerPool pool)
    {
        Client.Outbox.Flush();
        AskForWelcome(pool);
        while (IsWaitingFor(pool) && !Client.Input.IsEnded && !Client.HasHungUp && !_login.IsRefused)
        {
            if (State == WaiterState.Waiting)
            {
                await Client.Input.ParkAsync();
            }
            else
            {
                AskForWelcome(pool);
            }
        }

        _context.Pools.Leave(this);
        if (Error is { } error)
        {
            _login.Refuse(error with { Severity = "FATAL" });
        }

        return !_login.IsRefused && !Client.Input.IsEnded ? pool.Welcome : null;
    }

    /// <summary>A server may have become a standby, whose report is not for this client, on its way.</summary>
    private bool IsWaitingFor(ServerPool pool) =>
        State is WaiterState.Waiting or WaiterState.Rerouted || (State == WaiterState.Granted && pool.Welcome == null);

    private void AskForWelcome(ServerPool pool)
    {
        ClusterState? seen;
        do
        {
            _context.Pools.AcquireWelcome(pool, Router.Choose(pool, out seen), this, Client.Owner);
        }
        while (Router.HasChanged(pool, seen) && _context.Pools.TakeBack(this));
    }
}
