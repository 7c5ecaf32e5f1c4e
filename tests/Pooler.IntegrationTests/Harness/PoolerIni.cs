using System.Text;

namespace Pooler.IntegrationTests.Harness;

/// <summary>The settings of one pooler under test.</summary>
internal sealed class PoolerIni
{
    public const string Admin = "admin";

    public Dictionary<string, string> Settings { get; } = new()
    {
        ["listen_addr"] = "127.0.0.1",
        ["auth_type"] = "trust",
        ["admin_users"] = Admin,
        ["pool_mode"] = "transaction",
        ["default_pool_size"] = "20",
        ["max_client_conn"] = "1000",
        ["server_login_retry"] = "1",
        ["http_listen_port"] = "0", // Many run at once.
        ["ignore_startup_parameters"] = "extra_float_digits,options",
    };

    public Dictionary<string, string> Databases { get; } = [];

    /// <summary>Lines of the section [users].</summary>
    public Dictionary<string, string> UserSettings { get; } = [];

    /// <summary>Lines of the section [peers].</summary>
    public Dictionary<string, string> Peers { get; } = [];

    /// <summary>The userlist: names and secrets.</summary>
    public Dictionary<string, string> Passwords { get; } = new()
    {
        [Admin] = "",
        [PostgresCluster.User] = "",
        [PostgresCluster.Md5User] = PostgresCluster.Md5Password,
        [PostgresCluster.ScramUser] = PostgresCluster.ScramPassword,
    };

    /// <summary>Further files in its folder, by name; it runs there, so that a setting may name them so.</summary>
    public Dictionary<string, string> Files { get; } = [];

    /// <summary>Writes the files into the folder and returns the path of the main one.</summary>
    public string Write(string folder, int port)
    {
        string userList = Path.Combine(folder, "userlist.txt");
        File.WriteAllLines(userList, Passwords.Select(static user => $"\"{user.Key}\" \"{user.Value}\""));

        foreach ((string name, string content) in Files)
        {
            File.WriteAllText(Path.Combine(folder, name), content);
        }

        var text = new StringBuilder("[databases]\n");
        Append(text, Databases);
        text.Append("[users]\n");
        Append(text, UserSettings);
        text.Append("[peers]\n");
        Append(text, Peers);
        text.Append("[pgbouncer]\n");
        Append(text, new Dictionary<string, string>
        {
            ["listen_port"] = $"{port}",
            ["unix_socket_dir"] = folder,
            ["auth_file"] = userList,
        }.Where(setting => !Settings.ContainsKey(setting.Key)));
        Append(text, Settings);

        string path = Path.Combine(folder, "pooler.ini");
        File.WriteAllText(path, text.ToString());
        return path;
    }

    private static void Append(StringBuilder text, IEnumerable<KeyValuePair<string, string>> lines)
    {
        foreach ((string key, string value) in lines)
            text.Append(key).Append(" = ").Append(value).Append('\n');
    }
}
