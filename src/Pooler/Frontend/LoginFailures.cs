using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Telemetry;

namespace Pooler.Frontend;

/// <summary>
/// Who guesses passwords waits for the verdict. Failed logins are counted by address (of IPv6 by /64), by user, whether there is such a
/// user or not, and by both; beyond login_failure_limit each verdict, a good one too, comes after a delay that grows to
/// login_failure_delay. Nobody is refused: who has logged in as that user from that address lately answers for these failures only, so
/// that neither a neighbour behind the same address nor a stranger who knows the user's name costs it more than a delay.
/// </summary>
internal sealed class LoginFailures(LiveConfig live, ILogger log)
{
    // Doubled so often the first delay is the longest.
    private const int Doublings = 4;

    private const long ProvedForSeconds = 86_400;

    private readonly LoginTally _failures = new(), _proofs = new();

    private int Limit => Math.Min(live.Current.Get(Settings.LoginFailureLimit), LoginTally.MaxCount - 1);

    private long Window => Math.Max(1, (long)live.Current.Get(Settings.LoginFailureWindow).TotalSeconds);

    /// <summary>How long a verdict is kept back, in microseconds; 0 as a rule.</summary>
    /// <param name="address">Empty over a Unix socket, which has none to be counted by.</param>
    /// <param name="now">Clock of an I/O thread.</param>
    public long DelayOf(string address, string user, long now)
    {
        int limit = Limit;
        if (limit <= 0 || _failures.IsEmpty)
        {
            return 0;
        }

        (long seconds, long window) = (now / 1_000_000, Window);
        string net = NetOf(address), pair = PairOf(net, user);
        int failures = _proofs.Count(pair, seconds, ProvedForSeconds) > 0
            ? _failures.Count(pair, seconds, window)
            : Math.Max(_failures.Count(UserOf(user), seconds, window), net.Length > 0 ? _failures.Count(net, seconds, window) : 0);
        return failures > limit ? Longest() >> Math.Max(0, Doublings + 1 - (failures - limit)) : 0;
    }

    /// <summary>Whether its address is known for failed logins.</summary>
    public bool IsSuspect(string address, long now) =>
        Limit is > 0 and var limit && NetOf(address) is { Length: > 0 } net && _failures.Count(net, now / 1_000_000, Window) > limit;

    public void Failed(string address, string user, long now)
    {
        int limit = Limit;
        if (limit <= 0)
        {
            return;
        }

        (long seconds, long window) = (now / 1_000_000, Window);
        string net = NetOf(address);
        _failures.Add(PairOf(net, user), seconds, window);
        if (_failures.Add(UserOf(user), seconds, window) == limit + 1)
        {
            log.LoginsDelayed($"user \"{user}\"", limit, window);
        }

        if (net.Length > 0 && _failures.Add(net, seconds, window) == limit + 1)
        {
            log.LoginsDelayed(net, limit, window);
        }
    }

    public void Succeeded(string address, string user, long now)
    {
        if (Limit > 0)
        {
            _proofs.Mark(PairOf(NetOf(address), user), now / 1_000_000);
        }
    }

    /// <summary>A verdict comes well before the login's own deadline.</summary>
    private long Longest()
    {
        TimeSpan longest = live.Current.Get(Settings.LoginFailureDelay), deadline = live.Current.Get(Settings.ClientLoginTimeout);
        return (long)(deadline > TimeSpan.Zero && deadline / 2 < longest ? deadline / 2 : longest).TotalMicroseconds;
    }

    // The three kinds of keys differ in their first character.
    private static string UserOf(string user) => "u" + user;

    private static string PairOf(string net, string user) => $"p{net}\0{user}";

    /// <summary>Who is given an IPv6 address is given a whole /64.</summary>
    private static string NetOf(string address)
    {
        if (!IPAddress.TryParse(address, out IPAddress? parsed) || parsed.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return address;
        }

        byte[] bytes = parsed.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return $"{new IPAddress(bytes)}/64";
    }
}
