namespace Pooler.Config;

/// <summary>Which of a certificate's names must be the user's (clientname=…).</summary>
internal enum HbaClientName
{
    CommonName,
    DistinguishedName,

    /// <summary>Ours: any e-mail address, host or URI among its alternative names.</summary>
    AlternativeName,
}

/// <summary>Whether a line wants a client certificate beside its method (clientcert=…).</summary>
internal enum HbaClientCert
{
    NotAsked,

    /// <summary>One that our authorities have signed.</summary>
    VerifyCa,

    /// <summary>And that names the user, or somebody who may be it by the map.</summary>
    VerifyFull,
}

/// <summary>
/// What a line of auth_hba_file asks of TLS, whatever its method (PostgreSQL documentation, 20.1 and 20.12); sni=… is ours: the line is
/// only for clients that have asked for this host.
/// </summary>
internal sealed record HbaTls(HbaClientCert ClientCert, HbaClientName ClientName, string? ServerName)
{
    public static readonly HbaTls None = new(HbaClientCert.NotAsked, HbaClientName.CommonName, null);

    /// <summary>Takes out of a line's options those that are of TLS. Null with a problem.</summary>
    public static HbaTls? Take(List<string> options, HbaConnection connection, out string? problem)
    {
        HbaTls tls = None;
        problem = null;
        foreach (string option in options.ToArray())
        {
            (string name, string value) = option.Split('=', 2) is [var before, var behind] ? (before, behind) : (option, "");
            HbaTls? with = (name, value) switch
            {
                ("clientcert", "verify-ca") => tls with { ClientCert = HbaClientCert.VerifyCa },
                ("clientcert", "verify-full") => tls with { ClientCert = HbaClientCert.VerifyFull },
                ("clientname", "CN") => tls with { ClientName = HbaClientName.CommonName },
                ("clientname", "DN") => tls with { ClientName = HbaClientName.DistinguishedName },
                ("clientname", "SAN") => tls with { ClientName = HbaClientName.AlternativeName },
                ("sni", { Length: > 0 }) => tls with { ServerName = value },
                _ => null,
            };
            if (with != null)
            {
                options.Remove(option);
                tls = with;
            }
            else if (name is "clientcert" or "clientname" or "sni")
            {
                problem = $"{option}: there is clientcert=verify-ca or verify-full, clientname=CN, DN or SAN, sni=HOST";
            }
        }

        if (tls != None && connection != HbaConnection.HostSsl)
        {
            problem ??= "clientcert, clientname and sni are for hostssl lines only";
        }

        return problem == null ? tls : null;
    }

    /// <summary>Names of hosts have no case.</summary>
    public bool IsFor(string serverName) => ServerName == null || ServerName.Equals(serverName, StringComparison.OrdinalIgnoreCase);
}
