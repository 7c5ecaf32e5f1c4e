using System.Collections.Immutable;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;
using Pooler.Config;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler.Frontend;

/// <summary>
/// The keys of one issuer: from oauth_jwks_file, or fetched, once for many logins. They are fetched again after an hour, and when a token
/// names one that is not there, for issuers change their keys; tokens are strangers' words, so that is done once a minute at most. The
/// lock is short: nothing is fetched under it.
/// </summary>
internal sealed class OAuthKeys
{
    private const long Minute = 60_000_000;

    /// <summary>Fetched again after so long (µs).</summary>
    private const long FreshFor = 60 * Minute;

    /// <summary>While they cannot be fetched the last ones are used for so long; a key that was withdrawn must come to its end.</summary>
    private const long GoodFor = 24 * 60 * Minute;

    /// <summary>Pause after a fetch for the sake of a token, and after one that failed.</summary>
    private const long Pause = Minute, PauseAfterFailure = 5_000_000;

    private const int LongestDocument = 1 << 20;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(5);

    private readonly OAuthConfig _config;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private OAuthKeySet _known = OAuthKeySet.None;
    private Task<OAuthKeySet>? _fetch;
    private long _fetchedAt, _nextFetch;

    public OAuthKeys(OAuthConfig config, ILogger log)
    {
        (_config, _log) = (config, log);
        if (config.Jwks != null)
        {
            _known = OAuthConfig.TryReadKeys(config.Jwks, out ImmutableArray<SecurityKey> keys) ? new OAuthKeySet(keys, null) : OAuthKeySet.None;
        }
    }

    /// <summary>The keys, with the one of this name if the issuer has it.</summary>
    public Task<OAuthKeySet> FindAsync(string? kid)
    {
        lock (_lock)
        {
            long now = IoThread.Clock();
            bool isOld = _known.Keys.IsEmpty || now - _fetchedAt >= FreshFor, isAskedFor = !string.IsNullOrEmpty(kid) && !_known.Has(kid);
            if (_config.Jwks != null || !(isOld || isAskedFor))
            {
                return Task.FromResult(_known);
            }

            if (_fetch is { IsCompleted: false })
            {
                return _fetch;
            }

            if (_fetch != null && now < _nextFetch)
            {
                return Task.FromResult(_known);
            }

            _nextFetch = isOld ? now : now + Pause;
            return _fetch = FetchAsync();
        }
    }

    private async Task<OAuthKeySet> FetchAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding); // Not under the lock.
        string? problem;
        ImmutableArray<SecurityKey> keys = [];
        try
        {
            string url = _config.JwksUrl ?? await DiscoverAsync().ConfigureAwait(false);
            problem = OAuthConfig.TryReadKeys(await GetAsync(url).ConfigureAwait(false), out keys) ? null : $"{url}: there is no key that signatures can be checked with";
        }
        catch (Exception fault) // Of whatever kind: who waits must be answered.
        {
            problem = fault is OperationCanceledException ? $"no answer within {s_deadline.TotalSeconds} s" : fault.Message;
        }

        if (problem != null)
        {
            _log.OAuthKeysFailed(_config.Issuer, problem);
        }

        lock (_lock)
        {
            long now = IoThread.Clock();
            if (problem == null)
            {
                (_known, _fetchedAt) = (new OAuthKeySet(keys, null), now);
            }
            else
            {
                _nextFetch = Math.Max(_nextFetch, now + PauseAfterFailure);
                bool isGood = !_known.Keys.IsEmpty && now - _fetchedAt < GoodFor;
                _known = new OAuthKeySet(isGood ? _known.Keys : [], $"the keys of the issuer cannot be fetched: {problem}");
            }

            return _known;
        }
    }

    /// <summary>OpenID Connect Discovery, 4.3: a document of another issuer is not believed.</summary>
    private async Task<string> DiscoverAsync()
    {
        using JsonDocument document = JsonDocument.Parse(await GetAsync(_config.ConfigurationUrl).ConfigureAwait(false));
        string? issuer = TextOf(document, "issuer"), keys = TextOf(document, "jwks_uri");
        return issuer != _config.Issuer ? throw new IOException($"{_config.ConfigurationUrl} is of issuer \"{issuer}\"")
            : keys ?? throw new IOException($"{_config.ConfigurationUrl} has no jwks_uri");
    }

    private static string? TextOf(JsonDocument document, string name) =>
        document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    /// <summary>A connection for each: the next fetch is an hour away, and a name may stand for another address by then.</summary>
    private static async Task<string> GetAsync(string url)
    {
        if (!OAuthConfig.IsSafeUrl(url))
        {
            throw new IOException($"{url} is neither https nor on this machine");
        }

        var uri = new Uri(url);
        using var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = !uri.IsLoopback };
        using var client = new HttpClient(handler) { Timeout = s_deadline, MaxResponseContentBufferSize = LongestDocument };
        return await client.GetStringAsync(uri).ConfigureAwait(false);
    }
}
