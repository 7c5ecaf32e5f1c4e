namespace Pooler.IntegrationTests.Harness;

/// <summary>A folder of its own for a pooler that is started by hand: its settings, its pidfile, its log.</summary>
internal sealed class RunFolder : IDisposable
{
    public string Path { get; } = OrdinaryUser.CreateFolder();

    public string PidFile => PathOf("pooler.pid");

    public string LogFile => PathOf("pooler.log");

    public string PathOf(string name) => System.IO.Path.Combine(Path, name);

    public (string File, int Port) Write(string database, int serverPort, bool pidFile = true, int? port = null, string more = "")
    {
        var ini = new PoolerIni();
        ini.Databases[database] = $"host=127.0.0.1 port={serverPort} dbname={database}";
        int own = port ?? FreePort.Next();
        string file = ini.Write(Path, own);
        File.AppendAllText(file, $"logfile = {LogFile}\n" + (pidFile ? $"pidfile = {PidFile}\n" : "") + more);
        return (file, own);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
