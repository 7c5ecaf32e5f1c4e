using Microsoft.Extensions.Logging;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// Puts another configuration in force: RELOAD (console, SIGHUP) and SET, one at a time. It reads files, so it runs off the I/O
/// threads. Pools and logins to come follow it; sessions that are there keep the timeouts they were admitted with.
/// </summary>
internal sealed class ConfigControl(
    LiveConfig live, Pools pools, IReadOnlyDictionary<string, string> environment, ILogger log, Action<PoolerConfig> changed)
{
    private readonly Lock _lock = new();
    private volatile ReloadResult _lastReload = new(IsGood: true, DateTime.UtcNow);

    /// <summary>Of the last RELOAD, or of the start.</summary>
    public ReloadResult LastReload => _lastReload;

    /// <summary>False: the new configuration has errors, which were logged, and the old one stays wholly in force.</summary>
    public bool Reload()
    {
        IoThread.MustNotBeHere();
        lock (_lock)
        {
            PoolerConfig running = live.Current;
            string? path = running.Get(Settings.ConfFile) is { Length: > 0 } file ? file : null;
            ConfigResult result = ConfigLoader.Load(path, environment);
            foreach (ConfigError error in result.Errors)
            {
                log.Failed($"{error}");
            }

            if (!result.IsValid)
            {
                log.Failed("RELOAD failed: the configuration that runs stays in force");
                _lastReload = new ReloadResult(IsGood: false, DateTime.UtcNow);
                return false;
            }

            foreach (string warning in result.Config.Warnings)
            {
                log.Warn(warning);
            }

            if (PoolerConfig.RestartOnlyChanges(running, result.Config) is { Count: > 0 } names)
            {
                log.Warn($"changed in the configuration, but in force only after a restart: {string.Join(", ", names)}");
            }

            PutInForce(result.Config.KeepRestartOnly(running));
            _lastReload = new ReloadResult(IsGood: true, DateTime.UtcNow);
            return true;
        }
    }

    /// <summary>False when there is no such setting, or the value is not one of its own.</summary>
    public bool Set(string name, string text)
    {
        Setting? setting = Settings.Find(name, SettingScope.Global);
        if (setting == null || !setting.TryParse(text, out object? value, out _))
        {
            return false;
        }

        if (setting.WhenChanged == WhenChanged.AtOnce)
        {
            lock (_lock)
            {
                PoolerConfig changed = live.Current.With(setting, value);
                return setting.IsOfTls ? SetTls(changed) : PutInForce(changed);
            }
        }

        return true;
    }

    /// <summary>One that makes no sense with the others, or with the files, is not taken.</summary>
    private bool SetTls(PoolerConfig config)
    {
        bool isSound = true;
        config = config.WithTls((setting, problem) =>
        {
            isSound = false;
            log.Failed($"{setting.Name}: {problem}");
        });
        return isSound && PutInForce(config);
    }

    private bool PutInForce(PoolerConfig config)
    {
        live.Current = config;
        changed(config);
        pools.Reconfigure(IoThread.Clock());
        return true;
    }
}
