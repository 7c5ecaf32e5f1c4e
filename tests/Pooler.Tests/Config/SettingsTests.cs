using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class SettingsTests
{
    [Fact]
    public void EveryDefaultParsesAndPrintsAsItself()
    {
        foreach (Setting setting in Settings.All.Where(static setting => setting.DefaultText is not null))
        {
            Assert.True(setting.TryParse(setting.DefaultText!, out object? value, out string? problem), problem);
            Assert.Equal(setting.Format(setting.DefaultValue), setting.Format(value));
            Assert.Equal(setting == Settings.UnixSocketMode ? "511" : setting.DefaultText, setting.Format(value));
        }
    }

    [Fact]
    public void EveryRowKnowsItsPlaceAndSaysWhatItMeans()
    {
        Assert.Equal(Enumerable.Range(0, Settings.All.Length), Settings.All.Select(static setting => setting.Index));
        foreach (Setting setting in Settings.All)
        {
            Assert.Matches("^[a-z0-9_]+$", setting.Name);
            Assert.NotEqual(SettingScope.None, setting.Scope);
            Assert.Matches(@"^[A-Z0-9].*\.$", setting.Meaning);
        }
    }

    [Fact]
    public void HoldsWhatPgBouncerShows()
    {
        foreach ((string name, string? defaultText, bool changeable) in PgBouncerConfig.Rows)
        {
            Setting? setting = Settings.Find(name, SettingScope.Global);
            Assert.NotNull(setting);
            Assert.Equal(defaultText, setting.DefaultText);
            Assert.Equal(changeable ? WhenChanged.AtOnce : WhenChanged.AtRestart, setting.WhenChanged);
        }
    }

    [Fact]
    public void KeepsPgBouncersOrder()
    {
        HashSet<string> known = [.. PgBouncerConfig.Rows.Select(static row => row.Name)];
        Assert.Equal(PgBouncerConfig.Rows.Select(static row => row.Name), Settings.Names(SettingScope.Global).Where(known.Contains));
    }

    [Theory]
    [InlineData(2, "dbname host port user password auth_user auth_query auth_dbname pool_size min_pool_size reserve_pool_size "
        + "reserve_pool connect_query pool_mode query_wait_timeout load_balance_hosts max_db_connections max_db_client_connections "
        + "server_lifetime client_encoding datestyle timezone application_name")]
    [InlineData(4, "pool_mode pool_size reserve_pool_size max_user_connections max_user_client_connections query_timeout "
        + "query_wait_timeout idle_transaction_timeout transaction_timeout client_idle_timeout")]
    public void HoldsPgBouncersKeysOfDatabasesAndUsers(int scope, string names)
    {
        foreach (string name in names.Split(' ')) Assert.NotNull(Settings.Find(name, (SettingScope)scope));
        IEnumerable<string> others = Settings.Names((SettingScope)scope).Except(names.Split(' '));
        Assert.All(others, name => Assert.StartsWith("Ours: ", Settings.Find(name, (SettingScope)scope)!.Meaning, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("service_name", "job_name")]
    [InlineData("reserve_pool", "reserve_pool_size")]
    public void SecondNamesFindTheSameRow(string alias, string name) =>
        Assert.Same(Settings.Find(name, SettingScope.Global), Settings.Find(alias, SettingScope.Global));

    [Fact]
    public void NamesAreCaseSensitive() => Assert.Null(Settings.Find("Pool_Mode", SettingScope.Global));

    [Theory]
    [InlineData("pool_mode", "TRANSACTION", "transaction")]
    [InlineData("listen_port", "0x1920", "6432")]
    [InlineData("listen_port", "014440", "6432")]
    [InlineData("unix_socket_mode", "0770", "504")]
    [InlineData("max_client_conn", "+5", "5")]
    [InlineData("max_client_conn", "0", "0")]
    [InlineData("max_packet_size", "4294967295", "4294967295")]
    [InlineData("query_timeout", "1.5", "1.5")]
    [InlineData("query_timeout", ".25", "0.25")]
    [InlineData("query_timeout", "0.0000015", "0.000002")]
    [InlineData("query_timeout", "1e3", "1000")]
    [InlineData("query_wait_notify", "7", "7")]
    [InlineData("log_connections", "no", "0")]
    [InlineData("log_connections", "TRUE", "1")]
    [InlineData("tcp_defer_accept", "45", "1")]
    [InlineData("listen_addr", "127.0.0.1, ::1", "127.0.0.1,::1")]
    [InlineData("auth_type", "scram-sha-256", "scram-sha-256")]
    [InlineData("server_check_query", "", "")]
    public void ReadsRightValues(string name, string text, string shown)
    {
        Setting setting = Settings.Find(name, SettingScope.Global)!;
        Assert.True(setting.TryParse(text, out object? value, out string? problem), problem);
        Assert.Equal(shown, setting.Format(value));
    }

    [Theory]
    [InlineData("pool_mode", "transactional", "one of session, transaction, statement")]
    [InlineData("listen_port", "0", "a whole number from 1 to 65535")]
    [InlineData("listen_port", "65536", "a whole number from 1 to 65535")]
    [InlineData("listen_port", "6432x", "a whole number from 1 to 65535")]
    [InlineData("max_client_conn", "", "a whole number, at least 0")]
    [InlineData("max_client_conn", "-1", "a whole number, at least 0")]
    [InlineData("max_client_conn", "08", "a whole number, at least 0")]
    [InlineData("max_client_conn", "0x", "a whole number, at least 0")]
    [InlineData("max_client_conn", "99999999999999999999", "a whole number, at least 0")]
    [InlineData("max_client_conn", "0xFFFFFFFFFFFFFFFF", "a whole number, at least 0")]
    [InlineData("max_client_conn", "10 # many", "a whole number, at least 0")]
    [InlineData("unix_socket_mode", "777", "an octal number with its leading 0, at most 0777")]
    [InlineData("query_timeout", "5s", "a number of seconds without a unit, decimals allowed, at least 0")]
    [InlineData("query_timeout", "-1", "a number of seconds without a unit, decimals allowed, at least 0")]
    [InlineData("query_timeout", "NaN", "a number of seconds without a unit, decimals allowed, at least 0")]
    [InlineData("query_timeout", "1e300", "a number of seconds without a unit, decimals allowed, at least 0")]
    [InlineData("query_wait_notify", "1.5", "a whole number of seconds without a unit, at least 0")]
    [InlineData("log_connections", "maybe", "0 or 1 (no or yes, off or on, false or true)")]
    public void SaysWhatWouldBeRight(string name, string text, string expected)
    {
        Setting setting = Settings.Find(name, SettingScope.Global)!;
        Assert.False(setting.TryParse(text, out object? value, out string? problem));
        Assert.Null(value);
        Assert.Equal($"{name} = \"{text}\" is not valid: {expected}", problem);
    }

    [Theory]
    [InlineData("client_tls_sslmode", "disable")]
    [InlineData("server_tls_sslmode", "disable")]
    [InlineData("server_tls_sslmode", "prefer")]
    [InlineData("client_tls_protocols", "secure")]
    [InlineData("auth_user", "")]
    public void AcceptsTheHarmlessValueOfARefusedSetting(string name, string text) =>
        Assert.True(Settings.Find(name, SettingScope.Global)!.TryParse(text, out _, out _));

    [Fact]
    public void NeverRepeatsASecret()
    {
        Assert.True(Settings.Password.IsSecret);
        Assert.All(Settings.All, static setting => Assert.Equal(setting.Name is "password" or "auth_ldap_options" or "password_command" or "otlp_headers", setting.IsSecret));
    }

    [Theory]
    [InlineData("otlp_endpoint", "http://me:hidden@collector:4318")]
    [InlineData("otlp_headers", "hidden")]
    [InlineData("otlp_headers", "=hidden")]
    [InlineData("otlp_headers", "a key=hidden")]
    [InlineData("otlp_headers", "key=hidden%0d%0ax: y")]
    [InlineData("otlp_headers", "key=hidden,other")]
    [InlineData("otlp_headers", "key=hidden,,x=y")]
    [InlineData("otlp_headers", "key=hidden%2Cx")]
    [InlineData("otlp_endpoint", "http://collector:4318/?api_key=hidden")]
    public void TelemetryGoesNowhereWithABrokenSecretAndDoesNotSayIt(string name, string text)
    {
        Assert.False(Settings.Find(name, SettingScope.Global)!.TryParse(text, out _, out string? problem));
        Assert.StartsWith($"{name} is not valid: ", problem, StringComparison.Ordinal);
        Assert.DoesNotContain("hidden", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("authorization=Bearer%20of=all")]
    [InlineData("x-team=data%20base, x-key=of the house")]
    public void HeadersAreTakenAsTheyAreWritten(string text) => Assert.True(Settings.OtlpHeaders.TryParse(text, out _, out _));
}
