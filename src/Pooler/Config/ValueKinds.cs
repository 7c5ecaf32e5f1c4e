using System.Collections.Immutable;
using System.Globalization;
using Pooler.Telemetry;

namespace Pooler.Config;

/// <summary>The kinds of values there are, each with PgBouncer's notation (lib/usual/cfparser.c).</summary>
internal static class ValueKinds
{
    private static readonly string[] YesWords = ["yes", "on", "true", "y", "t"];
    private static readonly string[] NoWords = ["no", "off", "false", "n", "f"];

    /// <summary>
    /// PgBouncer's switches are integers where any other number than 0 is on (tcp_defer_accept = 45); the words are ours.
    /// Shown as 1 or 0.
    /// </summary>
    public static ValueKind<bool> Switch { get; } = new("boolean", "0 or 1 (no or yes, off or on, false or true)", ParseSwitch,
        static value => value ? "1" : "0");

    public static ValueKind<int> Count { get; } = Int32Kind("integer", 0, int.MaxValue);

    public static ValueKind<int> PortNumber { get; } = Int32Kind("port", 1, 65535);

    public static ValueKind<int> PortOrNone { get; } = Int32Kind("port", 0, 65535);

    /// <summary>Printed in decimal, as PgBouncer does: 0777 is shown as 511.</summary>
    public static ValueKind<int> OctalMode { get; } = new("octal file mode", "an octal number with its leading 0, at most 0777",
        static (string text, out int value) => TryInt32(text, 0, 0x1FF, out value), static value => value.ToString());

    public static ValueKind<int> PeerNumber { get; } = Int32Kind("integer", 0, 16383);

    public static ValueKind<int> Verbosity { get; } = Int32Kind("integer", 0, 3);

    public static ValueKind<long> Bytes { get; } = new("bytes", "a whole number of bytes, at least 0",
        static (string text, out long value) => TryWholeNumber(text, out value) && value >= 0, static value => value.ToString());

    /// <summary>Rounded to the microsecond, PgBouncer's unit; zero switches the setting off.</summary>
    public static ValueKind<TimeSpan> Seconds { get; } = new("seconds", "a number of seconds without a unit, decimals allowed, at least 0",
        ParseSeconds, static value => value.TotalSeconds.ToString("0.######", CultureInfo.InvariantCulture));

    public static ValueKind<TimeSpan> WholeSeconds { get; } = new("whole seconds", "a whole number of seconds without a unit, at least 0",
        ParseWholeSeconds, static value => ((long)value.TotalSeconds).ToString());

    /// <summary>As PostgreSQL's log_min_duration_statement: -1 is never, 0 always.</summary>
    public static ValueKind<int> MillisecondsOrOff { get; } = Int32Kind("milliseconds", -1, int.MaxValue);

    public static ValueKind<double> Share { get; } = new("number", "a number from 0 to 1",
        static (string text, out double value) =>
            double.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out value) && value is >= 0 and <= 1,
        static value => value.ToString("R", CultureInfo.InvariantCulture));

    public static ValueKind<string> Text { get; } = new("text", "a text", KeepText, static value => value);

    /// <summary>Text that is null when it is not set: PgBouncer shows NULL for it on the console.</summary>
    public static ValueKind<string?> OptionalText { get; } = new("text", "a text",
        static (string text, out string? value) => KeepText(text, out value!), static value => value);

    /// <summary>Null when it is not set.</summary>
    public static ValueKind<string?> SafeUrl { get; } = new("URL", "an https:// URL, or an http:// one on this machine (localhost, 127.0.0.1)",
        static (string text, out string? value) => (value = OAuthConfig.IsSafeUrl(text) ? text : null) != null, static value => value);

    /// <summary>Null when it is not set, or empty.</summary>
    public static ValueKind<string?> CollectorUrl { get; } = new("URL", "an http:// or https:// URL without ?, and without a user or password, which belong into otlp_headers",
        static (string text, out string? value) =>
        {
            value = text.Length == 0 ? null : text;
            return value == null || (Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" && uri.Query.Length == 0 && uri.UserInfo.Length == 0);
        },
        static value => value);

    /// <summary>As OTEL_EXPORTER_OTLP_HEADERS. Null when it is not set, or empty.</summary>
    public static ValueKind<string?> Headers { get; } = new("text", "name=value separated by commas: names of letters, digits and -, values of ASCII without a comma, with %25 for a %",
        static (string text, out string? value) =>
        {
            value = text.Length == 0 ? null : text;
            return value == null || text.Split(',', StringSplitOptions.TrimEntries).All(IsHeader);
        },
        static value => value);

    /// <summary>An issuer is its name, to the letter, and the discovery document is found behind it.</summary>
    public static ValueKind<string?> IssuerUrl { get; } = new("URL",
        "an https:// URL, or an http:// one on this machine, as it stands in the iss of tokens: without ?, and without /.well-known/…",
        static (string text, out string? value) => (value = OAuthConfig.IsIssuer(text) ? text : null) != null, static value => value);

    /// <summary>Separated by commas or blanks, as PgBouncer's strlist_contains reads them.</summary>
    public static ValueKind<ImmutableArray<string>> NameList { get; } = new("comma list", "names separated by commas",
        ParseNames, static value => string.Join(',', value));

    public static ValueKind<NetworkList> Networks { get; } = new("comma list", "all, samehost, samenet, or addresses with /bits, separated by commas",
        NetworkList.TryParse, static value => value.Text);

    /// <summary>Null when it is not set.</summary>
    public static ValueKind<LdapOptions?> LdapOptionList { get; } = new("options", "name=value pairs separated by blanks",
        static (string text, out LdapOptions? value) =>
        {
            value = text.Length > 0 ? LdapOptionReader.Parse(text, out _) : null;
            return value != null || text.Length == 0;
        },
        static value => value?.Text)
    {
        Explain = static text => LdapOptionReader.Parse(text, out string? problem) == null ? problem! : "",
    };

    public static ValueKind<string> SocketDirectory { get; } = new("text", "a directory, or @ and an abstract name, of at most 92 bytes",
        static (string text, out string value) => KeepText(text, out value) && HostAddress.IsSocketDirectory(text), static value => value);

    /// <summary>As in libpq: an empty item is the Unix socket.</summary>
    public static ValueKind<ImmutableArray<string>> HostList { get; } = new("comma list",
        "host names, addresses, /directories or @abstract sockets (these of at most 92 bytes), separated by commas",
        static (string text, out ImmutableArray<string> value) =>
        {
            value = [.. text.Split(',', StringSplitOptions.TrimEntries)];
            return value.All(static host => !host.StartsWith('/') && !host.StartsWith('@') || HostAddress.IsSocketDirectory(host));
        },
        static value => string.Join(',', value));

    public static ValueKind<ImmutableArray<int>> PortList { get; } = new("comma list",
        "a port from 1 to 65535 for all hosts, or one for each, separated by commas",
        static (string text, out ImmutableArray<int> value) => ParseNumbers(text, 1, 65535, out value), static value => string.Join(',', value));

    public static ValueKind<ImmutableArray<int>> WeightList { get; } = new("comma list",
        "a weight from 0 to 1000 for all hosts, or one for each, separated by commas",
        static (string text, out ImmutableArray<int> value) => ParseNumbers(text, 0, 1000, out value), static value => string.Join(',', value));

    public static ValueKind<PoolMode> PoolModeWord { get; } = Choice(
        ("session", PoolMode.Session), ("transaction", PoolMode.Transaction), ("statement", PoolMode.Statement));

    public static ValueKind<PinRule> PinWord { get; } = Choice(("auto", PinRule.Auto), ("refuse", PinRule.Refuse), ("off", PinRule.Off));

    public static ValueKind<StartupParameterRule> StartupParameterWord { get; } = Choice(
        ("follow", StartupParameterRule.Follow), ("refuse", StartupParameterRule.Refuse));

    public static ValueKind<AuthType> AuthTypeWord { get; } = Choice(
        ("any", AuthType.Any), ("trust", AuthType.Trust), ("plain", AuthType.Plain), ("md5", AuthType.Md5),
        ("scram-sha-256", AuthType.ScramSha256), ("cert", AuthType.Cert), ("hba", AuthType.Hba), ("ldap", AuthType.Ldap),
        ("pam", AuthType.Pam), ("oauth", AuthType.OAuth));

    public static ValueKind<SslMode> SslModeWord { get; } = Choice(
        ("disable", SslMode.Disable), ("allow", SslMode.Allow), ("prefer", SslMode.Prefer), ("require", SslMode.Require),
        ("verify-ca", SslMode.VerifyCa), ("verify-full", SslMode.VerifyFull));

    public static ValueKind<TlsNegotiation> TlsNegotiationWord { get; } = Choice(("postgres", TlsNegotiation.Postgres), ("direct", TlsNegotiation.Direct));

    public static ValueKind<TlsVersions> TlsVersionList { get; } = new("comma list", "tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3, all or secure",
        TlsVersions.TryParse, static value => value.Text);

    public static ValueKind<TlsCiphers> TlsCipherList { get; } = new("colon list",
        "default, or names such as ECDHE-RSA-AES128-GCM-SHA256 (AES-GCM and ChaCha20 with ECDHE or DHE)", TlsCiphers.TryParse, static value => value.Text);

    public static ValueKind<TlsCiphers?> OptionalTls13Ciphers { get; } = new("colon list",
        "TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256 or TLS_AES_128_GCM_SHA256",
        static (string text, out TlsCiphers? value) =>
        {
            bool isSound = TlsCiphers.TryParse13(text, out TlsCiphers ciphers);
            value = text.Length == 0 ? null : ciphers;
            return isSound || text.Length == 0;
        },
        static value => value?.Text);

    public static ValueKind<LogFormat> LogFormatWord { get; } = Choice(("text", LogFormat.Text), ("json", LogFormat.Json));

    public static ValueKind<SyslogFacility> SyslogFacilityWord { get; } =
        Choice([.. Enum.GetValues<SyslogFacility>().Select(static f => (f.ToString().ToLowerInvariant(), f))]);

    public static ValueKind<IoEngine> IoEngineWord { get; } = Choice(("auto", IoEngine.Auto), ("epoll", IoEngine.Epoll), ("io_uring", IoEngine.Uring));

    public static ValueKind<RoutingRule> RoutingWord { get; } = Choice(
        ("off", RoutingRule.Off), ("primary", RoutingRule.Primary), ("read_write_split", RoutingRule.ReadWriteSplit),
        ("prefer_replica", RoutingRule.PreferReplica), ("replica", RoutingRule.Replica), ("multi_primary", RoutingRule.MultiPrimary));

    public static ValueKind<LoadBalanceHosts> LoadBalanceWord { get; } = Choice(
        ("round-robin", LoadBalanceHosts.RoundRobin), ("disable", LoadBalanceHosts.Disable), ("random", LoadBalanceHosts.Random));

    public static ValueKind<TwoPrimariesRule> TwoPrimariesWord { get; } = Choice(
        ("stay", TwoPrimariesRule.Stay), ("hold", TwoPrimariesRule.Hold), ("newest", TwoPrimariesRule.Newest));

    public static ValueKind<LoadBalanceRule> LoadBalanceRuleWord { get; } = Choice(
        ("least_busy", LoadBalanceRule.LeastBusy), ("round_robin", LoadBalanceRule.RoundRobin), ("random", LoadBalanceRule.Random),
        ("weighted", LoadBalanceRule.Weighted), ("latency", LoadBalanceRule.Latency));

    public static ValueKind<ReadAfterWrite> ReadAfterWriteWord { get; } = Choice(
        ("session", ReadAfterWrite.Session), ("user", ReadAfterWrite.User), ("off", ReadAfterWrite.Off));

    public static ValueKind<TargetSessionAttrs> TargetSessionAttrsWord { get; } = Choice(
        ("any", TargetSessionAttrs.Any), ("read-write", TargetSessionAttrs.ReadWrite), ("read-only", TargetSessionAttrs.ReadOnly),
        ("primary", TargetSessionAttrs.Primary), ("standby", TargetSessionAttrs.Standby), ("prefer-standby", TargetSessionAttrs.PreferStandby));

    /// <summary>Upper and lower case are the same (cf_set_lookup uses strcasecmp).</summary>
    private static ValueKind<T> Choice<T>(params (string Word, T Value)[] choices)
        where T : struct, Enum
    {
        string expected = "one of " + string.Join(", ", choices.Select(static choice => choice.Word));
        return new ValueKind<T>(expected, expected, ParseChoice, FormatChoice)
        {
            Words = [.. choices.Select(static choice => KeyValuePair.Create(choice.Word, choice.Value))],
        };

        bool ParseChoice(string text, out T value)
        {
            int index = Array.FindIndex(choices, choice => choice.Word.Equals(text, StringComparison.OrdinalIgnoreCase));
            value = index < 0 ? default : choices[index].Value;
            return index >= 0;
        }

        string FormatChoice(T value) => choices.First(choice => choice.Value.Equals(value)).Word;
    }

    private static ValueKind<int> Int32Kind(string name, int least, int most) => new(name,
        most == int.MaxValue ? $"a whole number, at least {least}" : $"a whole number from {least} to {most}",
        (string text, out int value) => TryInt32(text, least, most, out value), static value => value.ToString());

    private static bool TryInt32(string text, int least, int most, out int value)
    {
        bool right = TryWholeNumber(text, out long number) && number >= least && number <= most;
        value = right ? (int)number : 0;
        return right;
    }

    /// <summary>strtol with base 0: 0x starts a hexadecimal number, 0 an octal one; nothing may follow.</summary>
    private static bool TryWholeNumber(ReadOnlySpan<char> text, out long value)
    {
        bool negative = text.StartsWith('-');
        ReadOnlySpan<char> digits = negative || text.StartsWith('+') ? text[1..] : text;
        bool right = digits switch
        {
            ['0', 'x' or 'X', .. var hex] => long.TryParse(hex, NumberStyles.AllowHexSpecifier, null, out value) && value >= 0,
            ['0', .. { Length: > 0 } octal] => TryOctal(octal, out value),
            _ => long.TryParse(digits, NumberStyles.None, null, out value),
        };
        value = negative ? -value : value;
        return right;
    }

    private static bool TryOctal(ReadOnlySpan<char> digits, out long value)
    {
        value = 0;
        foreach (char digit in digits)
        {
            if (digit is < '0' or > '7' || value > long.MaxValue >> 3) return false;
            value = (value << 3) + (digit - '0');
        }

        return true;
    }

    private static bool ParseSwitch(string text, out bool value)
    {
        if (TryWholeNumber(text, out long number))
        {
            value = number != 0;
            return true;
        }

        value = YesWords.Contains(text, StringComparer.OrdinalIgnoreCase);
        return value || NoWords.Contains(text, StringComparer.OrdinalIgnoreCase);
    }

    private static bool ParseSeconds(string text, out TimeSpan value)
    {
        const double MostSeconds = 1e9; // 31 years: far beyond any timeout, far below TimeSpan's end.
        const NumberStyles Decimal = NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        bool right = double.TryParse(text, Decimal, CultureInfo.InvariantCulture, out double seconds) && seconds is >= 0 and <= MostSeconds;
        value = right ? TimeSpan.FromMicroseconds(Math.Round(seconds * 1e6)) : default;
        return right;
    }

    private static bool ParseWholeSeconds(string text, out TimeSpan value)
    {
        bool right = TryInt32(text, 0, 1_000_000_000, out int seconds);
        value = TimeSpan.FromSeconds(seconds);
        return right;
    }

    private static bool KeepText(string text, out string value)
    {
        value = text;
        return true;
    }

    private static bool ParseNumbers(string text, int least, int most, out ImmutableArray<int> value)
    {
        var numbers = ImmutableArray.CreateBuilder<int>();
        bool right = true;
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries))
        {
            right &= TryInt32(item, least, most, out int number);
            numbers.Add(number);
        }

        value = numbers.ToImmutable();
        return right;
    }

    private static bool ParseNames(string text, out ImmutableArray<string> value)
    {
        value = [.. text.Split([',', ' ', '\t'], StringSplitOptions.RemoveEmptyEntries)];
        return true;
    }

    private static bool IsHeader(string pair)
    {
        string[] parts = pair.Split('=', 2, StringSplitOptions.TrimEntries);
        return parts.Length == 2 && parts[0].Length > 0 && parts[0].All(static c => char.IsAsciiLetterOrDigit(c) || "!#$%&'*+-.^_`|~".Contains(c))
            && Uri.UnescapeDataString(parts[1]).All(static c => c is >= ' ' and <= '~' and not ','); // OpenTelemetry decodes before it looks for commas.
    }
}
