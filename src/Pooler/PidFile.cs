using System.Globalization;
using Pooler.Net;

namespace Pooler;

/// <summary>The file that tells scripts our process id (pidfile). One left behind by a process that died is taken over (lib/usual/daemon.c).</summary>
internal static class PidFile
{
    /// <summary>At the start: refuses it while the process in the file lives. True when one was left behind.</summary>
    public static bool Check(string path)
    {
        string text;
        try
        {
            if (!File.Exists(path))
            {
                return false;
            }

            text = File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartException($"pidfile {path}: {e.Message}");
        }

        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id == 0)
        {
            throw new StartException($"pidfile {path} exists and holds no process id: another instance may be starting; remove it if there is none");
        }

        if (id != Environment.ProcessId && Syscalls.ProcessExists(id))
        {
            throw new StartException($"pidfile {path} exists: process {id} is running; stop it first, or give this one another pidfile");
        }

        return true;
    }

    public static void Write(string path)
    {
        try
        {
            File.WriteAllText(path, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartException($"pidfile {path} cannot be written: {e.Message}");
        }
    }

    /// <summary>At the end, if it is still ours.</summary>
    public static void Remove(string path)
    {
        try
        {
            if (File.ReadAllText(path).Trim() == Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
            {
                File.Delete(path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Somebody has taken it away.
        }
    }
}
