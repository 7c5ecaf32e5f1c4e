using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Pooler.IntegrationTests;

/// <summary>auth_type = oauth: the tokens of an issuer let their bearers in, and nothing else does.</summary>
public sealed class OAuthTests(PostgresCluster postgres)
{
    private const string User = PostgresCluster.User, Failed = "28000 OAuth bearer authentication failed";

    [Fact]
    public async Task ATokenOfTheIssuerLetsItsBearerIn()
    {
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);

        // A storm of logins asks for the keys once.
        string[] first = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => LoginAsync(pooler, database, User, issuer.Token(User))));
        Assert.All(first, static told => Assert.Equal("", told));
        Assert.Equal(1, issuer.KeyRequests);
        foreach (string algorithm in (string[])["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"])
        {
            Assert.Equal("", await LoginAsync(pooler, database, User, issuer.Token(User, algorithm)));
        }

        JsonObject claims = issuer.Claims(User);
        claims["aud"] = new JsonArray("other", TokenIssuer.Audience);
        claims["scope"] = null;
        claims["scp"] = new JsonArray("db", "other");
        string token = issuer.Token(claims);
        Assert.Equal("", await LoginAsync(pooler, database, User, token));

        // The console too, for those who may use it.
        using (PgWire console = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            Assert.Contains('Z', (await SendAsync(console, "pgbouncer", PoolerIni.Admin, Message(issuer.Token(PoolerIni.Admin)))).Types);
            Assert.NotEmpty((await console.QueryAsync("SHOW VERSION")).Rows);
        }

        Assert.DoesNotContain(token.Split('.')[1], pooler.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnyOtherTokenIsRefused()
    {
        await using TokenIssuer issuer = new(), other = new();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);
        Assert.Equal("", await LoginAsync(pooler, database, User, issuer.Token(User)));
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        string good = issuer.Token(User), unsigned = TokenIssuer.Encode("""{"alg":"none"}""") + "." + good.Split('.')[1] + ".";
        (string Token, string Reason)[] cases =
        [
            (With("exp", now - 60), "it has expired"),
            (With("exp", null), "it has no exp"),
            (With("nbf", now + 60), "it is not valid yet"),
            (With("iss", issuer.Url + "/"), "it is of another issuer"),
            (With("iss", null), "it is of another issuer"),
            (With("aud", "pooler2"), "it is for another audience"),
            (With("aud", null), "it is for another audience"),
            (With("scope", "openid dbx"), "it lacks the scope db"),
            (With("scope", null), "it lacks the scope db"),
            (With("sub", null), "it has no sub (oauth_user_claim)"),
            (With("sub", 1), "it has no sub (oauth_user_claim)"),
            (With("sub", new JsonArray(User)), "it cannot be read"),
            (With("sub", "APP"), "its bearer \"APP\" may not be this user"),
            (issuer.Token(PostgresCluster.ScramUser), $"its bearer \"{PostgresCluster.ScramUser}\" may not be this user"),
            (issuer.Token(issuer.Claims(User), adjust: static header => header["crit"] = new JsonArray("b64")), "it has critical extensions"),
            (issuer.Token(User, "HS256"), "its signature is not by a key of the issuer, or by an algorithm that is not taken"),
            (unsigned, "its signature is not by a key of the issuer, or by an algorithm that is not taken"),
            (good[..^8] + (good[^8] == 'A' ? 'B' : 'A') + good[^7..], "its signature is not by a key of the issuer"),
            (good.Split('.')[0] + "." + issuer.Token(PostgresCluster.ScramUser).Split('.')[1] + "." + good.Split('.')[2], "its signature is not by a key of the issuer"),
            (other.Token(new JsonObject(issuer.Claims(User).Select(static p => KeyValuePair.Create(p.Key, p.Value?.DeepClone())))), "its signature is not by a key of the issuer"),
            ("abc", "it is no signed JSON Web Token"),
            ("a.b.c", ""),
            ("a.b.c.d.e", ""),
            (new string('x', 12_000), "it is no signed JSON Web Token"),
        ];
        foreach ((string token, string reason) in cases)
        {
            int refusals = pooler.LogLines.Count(static line => line.Contains("OAuth token refused: ", StringComparison.Ordinal));
            Assert.Equal(Failed, await LoginAsync(pooler, database, User, token));
            string told = await Eventually.BecomesAsync("the reason is in the log", () => Task.FromResult(
                pooler.LogLines.Where(static line => line.Contains("OAuth token refused: ", StringComparison.Ordinal)).Skip(refusals).FirstOrDefault("")), static line => line != "");
            Assert.True(told.Contains("OAuth token refused: " + reason, StringComparison.Ordinal), $"{told}, not {reason}");
        }

        Assert.Equal("", await LoginAsync(pooler, database, User, good));
        Assert.DoesNotContain(good.Split('.')[1], pooler.Log, StringComparison.Ordinal);

        string With(string name, JsonNode? value)
        {
            JsonObject claims = issuer.Claims(User);
            claims.Remove(name);
            if (value != null)
            {
                claims[name] = value;
            }

            return issuer.Token(claims);
        }
    }

    /// <summary>Message by message: what a client without a token learns, and what is no message of this mechanism.</summary>
    [Fact]
    public async Task TheConversationIsTheRfcs()
    {
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(("user", User), ("database", database)));
        PgMessage asked = (await wire.ReadAsync())!.Value;
        Assert.Equal("\0\0\0\u000aOAUTHBEARER\0\0", Encoding.ASCII.GetString(asked.Body));
        await wire.SendAsync(Initial("n,,\u0001auth=\u0001\u0001"));
        PgMessage answer = (await wire.ReadAsync())!.Value;
        Assert.Equal("\0\0\0\u000b" + $$"""{"status":"invalid_token","openid-configuration":"{{issuer.Url}}/.well-known/openid-configuration","scope":"db"}""", Encoding.ASCII.GetString(answer.Body));
        await wire.SendAsync(new PgRequest().Message('p', static body => PgRequest.WriteByte(body, 1)));
        PgMessage end = await wire.ReadFatalAsync();
        Assert.Equal(Failed, $"{end.SqlState} {end.Fields()['M']}");
        Assert.DoesNotContain("OAuth token refused", pooler.Log, StringComparison.Ordinal); // Nobody has shown one.
        foreach (string data in (string[])["", "n,,", "p=tls-server-end-point,,\u0001auth=\u0001\u0001", "n,a=app,\u0001auth=\u0001\u0001", "n,,\u0001\u0001",
            "n,,\u0001auth=Basic eA==\u0001\u0001", "n,,\u0001auth=Bearer \u0001\u0001", "n,,\u0001auth=Bearer a b\u0001\u0001", "n,,\u0001auth=Bearer a\u0001", "n,,\u0001auth=Bearer a\u0001\u0001\u0001",
            "n,,\u0001auth=Bearer a\u0001auth=Bearer a\u0001\u0001", "n,,\u0001au1h=x\u0001\u0001", "n,,\u0001auth\u0001\u0001"])
        {
            using PgWire client = await PgWire.ConnectAsync(pooler.EndPoint);
            PgReply reply = await SendAsync(client, database, User, data);
            Assert.Equal("SASL authentication failed", reply.Error?.Fields()['M']);
        }
    }

    /// <summary>A key that is not known is asked for at once; the next stranger's is not.</summary>
    [Fact]
    public async Task NewKeysAreFoundAndStrangersDoNotMakeUsAsk()
    {
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);
        string old = issuer.Token(User);
        Assert.Equal("", await LoginAsync(pooler, database, User, old));
        issuer.Rotate("-2");
        Assert.Equal("", await LoginAsync(pooler, database, User, issuer.Token(User, "ES256")));
        Assert.Equal(2, issuer.KeyRequests);
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, old)); // Its key was withdrawn.
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(Failed, await LoginAsync(pooler, database, User, issuer.Token(issuer.Claims(User), kid: $"stranger{i}", algorithm: "HS256")));
        }

        Assert.Equal(2, issuer.KeyRequests);
    }

    [Fact]
    public async Task AnIssuerThatDoesNotAnswerLetsNobodyIn()
    {
        await using var issuer = new TokenIssuer { IsSilent = true };
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, issuer.Token(User)));
        await pooler.SeesInLogAsync($"OAuth: keys of {issuer.Url} cannot be fetched: no answer within 5 s");
        issuer.IsSilent = false;
        await Eventually.EqualsAsync("it is asked again", "", () => LoginAsync(pooler, database, User, issuer.Token(User)));
    }

    [Theory]
    [InlineData("issuer", "is of issuer \"https://evil.example\"")]
    [InlineData("{\"keys\":[]}", "there is no key that signatures can be checked with")]
    [InlineData("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"RSA\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}", "there is no key that signatures can be checked with")]
    [InlineData("<html>", "there is no key that signatures can be checked with")]
    [InlineData("long", "Cannot write more bytes to the buffer than the configured maximum buffer size")]
    public async Task AnIssuersNonsenseLetsNobodyIn(string instead, string problem)
    {
        await using var issuer = new TokenIssuer();
        (issuer.ClaimedUrl, issuer.Instead) = instead switch
        {
            "issuer" => ("https://evil.example", null),
            "long" => (issuer.Url, issuer.Jwks + new string(' ', 2_000_000)),
            _ => (issuer.Url, instead),
        };
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, issuer.Token(User)));
        await pooler.SeesInLogAsync(problem);
    }

    /// <summary>oauth_jwks_file: nothing is fetched, and RELOAD reads it anew.</summary>
    [Fact]
    public async Task KeysMayBeInAFile()
    {
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer, ini =>
        {
            ini.Settings["oauth_jwks_file"] = "keys";
            ini.Files["keys"] = issuer.Jwks;
        });
        string old = issuer.Token(User);
        Assert.Equal("", await LoginAsync(pooler, database, User, old));
        issuer.Rotate("-2");
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, issuer.Token(User)));
        await File.WriteAllTextAsync(Path.Combine(pooler.Folder, "keys"), issuer.Jwks);
        using (PgWire console = await PgWire.ConnectAsync(pooler.EndPoint))
        {
            await SendAsync(console, "pgbouncer", PoolerIni.Admin, Message(old));
        }

        pooler.Send(ChildProcess.Signal.Hup);
        await Eventually.EqualsAsync("the file is read", "", () => LoginAsync(pooler, database, User, issuer.Token(User)));
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, old));
        Assert.Equal(0, issuer.KeyRequests);
    }

    /// <summary>auth_type = hba: each line with its own issuer and scope, and a map from the token's name to the users.</summary>
    [Fact]
    public async Task RulesAndMapsApply()
    {
        await using TokenIssuer issuer = new(), other = new();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer, ini =>
        {
            ini.Settings["auth_type"] = "hba";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Settings["auth_ident_file"] = "ident";
            ini.Settings["oauth_user_claim"] = "email";
            ini.Files["hba"] = $"""
                host all {PostgresCluster.ScramUser} all oauth issuer={other.Url} scope="openid admin"
                host all all all oauth map=people
                """;
            ini.Files["ident"] = $"people \"ann@example.com\" {User}\n";
        });
        JsonObject ann = issuer.Claims("ignored"), bob = other.Claims("ignored");
        ann["email"] = "ann@example.com";
        bob["email"] = PostgresCluster.ScramUser;
        Assert.Equal("", await LoginAsync(pooler, database, User, issuer.Token(ann)));
        Assert.Equal(Failed, await LoginAsync(pooler, database, PostgresCluster.Md5User, issuer.Token(ann)));
        Assert.Equal(Failed, await LoginAsync(pooler, database, PostgresCluster.ScramUser, other.Token(bob)));
        bob["scope"] = "admin openid";
        Assert.Equal("", await LoginAsync(pooler, database, PostgresCluster.ScramUser, other.Token(bob)));
        bob["email"] = User;
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, other.Token(bob))); // Not the issuer of this line.
        bob["iss"] = issuer.Url;
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, other.Token(bob)));
    }

    /// <summary>There is no password to pass on: the entry has one, or a command, or the user is known.</summary>
    [Fact]
    public async Task ServersAreLoggedInToByTheEntry()
    {
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, "the token of the cloud");
        await using PoolerProcess pooler = await StartAsync(database, issuer, ini =>
        {
            ini.Databases["cloud"] = ini.Databases[database] + " password_command='echo the token of the cloud'";
            ini.Databases["forced"] = ini.Databases[database] + $" user={PostgresCluster.ScramUser} password='{PostgresCluster.ScramPassword}'";
        });
        Assert.Equal(PostgresCluster.ScramUser, await WhoAsync(PostgresCluster.ScramUser, database));
        Assert.Equal(member, await WhoAsync(member, "cloud"));
        Assert.Equal(PostgresCluster.ScramUser, await WhoAsync("somebody", "forced"));
        Assert.Equal(Failed, await LoginAsync(pooler, database, member, issuer.Token(member)));
        await pooler.SeesInLogAsync("its bearer is not known, and the database entry has no user=, password= or password_command");

        async Task<string?> WhoAsync(string user, string entry)
        {
            using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            PgReply reply = await SendAsync(wire, entry, user, Message(issuer.Token(user)));
            Assert.True(reply.Error is null, $"{reply}");
            return (await wire.QueryAsync("SELECT session_user")).Scalar;
        }
    }

    /// <summary>From elsewhere without TLS nobody is asked for a token: it would be everybody's.</summary>
    [Fact]
    public async Task ATokenIsNotAskedForInClear()
    {
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer, static ini => ini.Settings["proxy_protocol_networks"] = "127.0.0.1");
        foreach (string source in (string[])["192.0.2.7", "127.0.0.1"])
        {
            using PgWire far = await PgWire.ConnectAsync(pooler.EndPoint);
            await far.SendAsync(Encoding.ASCII.GetBytes($"PROXY TCP4 {source} 198.51.100.1 5000 6432\r\n"));
            await far.SendAsync(PgRequest.Startup(("user", User), ("database", database)));
            PgMessage error = Assert.Single(await far.ReadToEndAsync());
            Assert.Equal(("28000", "OAuth bearer authentication needs TLS, or a connection on the pooler's own machine"), (error.SqlState, error.Fields()['M']));
        }

        using PgWire local = await PgWire.ConnectAsync(pooler.UnixEndPoint);
        Assert.Contains('Z', (await SendAsync(local, database, User, Message(issuer.Token(User)))).Types);
    }

    /// <summary>libpq asks whom to ask for a token, and comes back with it.</summary>
    [Fact]
    public async Task LibpqLogsInByAToken()
    {
        Libpq18? libpq = Libpq18.Load();
        Assert.SkipWhen(libpq is null, "libpq 18 is not there: scripts/postgres.sh 18 fetches it from npm's registry");
        await using var issuer = new TokenIssuer();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, issuer);
        string keywords = $"{pooler.LibpqString(database)} sslmode=disable require_auth=oauth oauth_issuer={issuer.Url} oauth_client_id=test";
        Assert.Equal("", await Task.Run(() => libpq.Login(keywords, issuer.Token(User))));
        Assert.Equal((issuer.Url + "/.well-known/openid-configuration", "db"), libpq.Asked);
        Assert.Contains("OAuth bearer authentication failed", await Task.Run(() => libpq.Login(keywords, issuer.Token("other"))), StringComparison.Ordinal);
    }

    private Task<PoolerProcess> StartAsync(string database, TokenIssuer issuer, Action<PoolerIni>? adjust = null) =>
        PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = "oauth";
            ini.Settings["oauth_issuer"] = issuer.Url;
            ini.Settings["oauth_audience"] = TokenIssuer.Audience;
            ini.Settings["oauth_scope"] = "db";
            adjust?.Invoke(ini);
        });

    private static string Message(string token) => $"n,,\u0001host=localhost\u0001auth=Bearer {token}\u0001\u0001";

    private static PgRequest Initial(string data) => new PgRequest().Message('p', body =>
    {
        PgRequest.WriteText(body, "OAUTHBEARER");
        PgRequest.WriteInt32(body, data.Length);
        body.Write(Encoding.ASCII.GetBytes(data));
    });

    /// <summary>Empty when it got in.</summary>
    private static async Task<string> LoginAsync(PoolerProcess pooler, string database, string user, string token)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        PgReply reply = await SendAsync(wire, database, user, Message(token));
        return reply.Error is { } error ? $"{error.SqlState} {error.Fields()['M']}" : reply.Types.EndsWith('Z') ? "" : $"{reply}";
    }

    /// <summary>The whole login, to its ReadyForQuery or its end.</summary>
    private static async Task<PgReply> SendAsync(PgWire wire, string database, string user, string data)
    {
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", database)));
        Assert.Equal(10, BinaryPrimitives.ReadInt32BigEndian((await wire.ReadAsync())!.Value.Body));
        await wire.SendAsync(Initial(data));
        var messages = new List<PgMessage>();
        while (await wire.ReadAsync() is { } message)
        {
            messages.Add(message);
            if (message.Type == 'R' && BinaryPrimitives.ReadInt32BigEndian(message.Body) == 11)
                await wire.SendAsync(new PgRequest().Message('p', static body => PgRequest.WriteByte(body, 1)));
            if (message.Type == 'Z')
                break;
        }

        return new PgReply(messages);
    }
}
