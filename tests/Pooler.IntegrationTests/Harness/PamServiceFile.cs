namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// A service of PAM for one test: a file of /etc/pam.d, which only root can write, whose modules ask programs of the test's own
/// (pam_exec). They write what they are told into a file.
/// </summary>
internal sealed class PamServiceFile : IDisposable
{
    private readonly string _folder = OrdinaryUser.CreateFolder();

    /// <param name="authenticate">Lines of sh with the password in $password; the status is the answer.</param>
    /// <param name="account">The same for whether the account may be used.</param>
    public PamServiceFile(string authenticate, string account = "true")
    {
        string told = Path.Combine(_folder, "told");
        File.WriteAllText(told, "");
        File.SetUnixFileMode(told, (UnixFileMode)0b110_110_110);
        Write("authenticate", $"password=$(tr -d '\\0')\necho \"$PAM_SERVICE $PAM_USER $PAM_RHOST $PAM_TYPE\" >>{told}\n{authenticate}\n");
        Write("account", $"echo \"$PAM_SERVICE $PAM_USER $PAM_RHOST $PAM_TYPE\" >>{told}\n{account}\n");
        File.WriteAllText(FilePath, $"auth required pam_exec.so quiet expose_authtok {_folder}/authenticate\naccount required pam_exec.so quiet {_folder}/account\n");
    }

    public string Name { get; } = $"pooler-test-{Guid.NewGuid():N}";

    /// <summary>Of each question: service, user, remote host and kind.</summary>
    public string[] Told => File.ReadAllLines(Path.Combine(_folder, "told"));

    public string Folder => _folder;

    private string FilePath => $"/etc/pam.d/{Name}";

    public void Dispose()
    {
        File.Delete(FilePath);
        Directory.Delete(_folder, recursive: true);
    }

    private void Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, "#!/bin/sh\n" + text);
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }
}
