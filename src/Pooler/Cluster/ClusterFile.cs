using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using Pooler.Net;
using Pooler.Telemetry;

namespace Pooler.Cluster;

/// <summary>
/// What must outlive the process (cluster_state_file): each cluster's system identifier and highest timeline, so that after a start an
/// old primary that is there alone is not followed. Written on ordinary threads; a file that cannot be read or written is logged
/// and stops nothing.
/// </summary>
internal sealed class ClusterFile
{
    private readonly string? _path;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, ClusterMemory> _clusters = new(StringComparer.Ordinal);

    /// <param name="path">Null: nothing is kept.</param>
    public ClusterFile(string? path, ILogger log)
    {
        _path = path;
        _log = log;
        if (path != null)
        {
            Read(path);
        }
    }

    /// <summary>Ends when all that was remembered so far has been written.</summary>
    public Task Written { get; private set; } = Task.CompletedTask;

    public ClusterMemory? Find(string cluster)
    {
        lock (_lock)
        {
            return _clusters.TryGetValue(cluster, out ClusterMemory? memory) ? memory : null;
        }
    }

    /// <summary>Kept at once, written soon.</summary>
    public void Remember(string cluster, ClusterMemory memory)
    {
        lock (_lock)
        {
            if (_clusters.TryGetValue(cluster, out ClusterMemory? known) && known == memory)
            {
                return;
            }

            _clusters[cluster] = memory;
            if (_path != null)
            {
                Written = Written.ContinueWith(_ => Write(), TaskScheduler.Default);
            }
        }
    }

    private void Read(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                return;
            }

            foreach (string line in File.ReadLines(path).Where(static l => l.Length > 0 && l[0] != '#'))
            {
                // The name comes last: it may hold blanks.
                string[] words = line.Split(' ', 3);
                if (words.Length == 3 && words[0].All(char.IsAsciiDigit) && words[0].Length > 0 && int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out int timeline))
                {
                    _clusters[words[2]] = new ClusterMemory(words[0], timeline);
                }
                else
                {
                    _log.ClusterFileDamaged(path, line.Length > 80 ? line[..80] : line);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.ClusterFileFailed(path, e.Message);
        }
    }

    /// <summary>As a whole under another name, then renamed: whoever reads it finds the old one or the new one.</summary>
    private void Write()
    {
        IoThread.MustNotBeHere();
        string path = _path!, draft = path + ".new";
        lock (_lock)
        {
            try
            {
                var text = new StringBuilder("# Written by pooler: system identifier, highest timeline, database entry. A cluster that was made anew needs its line removed.\n");
                foreach ((string name, ClusterMemory memory) in _clusters)
                {
                    text.Append(memory.SystemIdentifier).Append(' ').Append(memory.Timeline).Append(' ').Append(name).Append('\n');
                }

                using (var file = new FileStream(draft, FileMode.Create, FileAccess.Write))
                {
                    file.Write(Encoding.UTF8.GetBytes(text.ToString()));
                    file.Flush(flushToDisk: true);
                }

                File.Move(draft, path, overwrite: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _log.ClusterFileFailed(path, e.Message);
            }
        }
    }
}

/// <summary>What is known of a cluster for ever.</summary>
internal sealed record ClusterMemory(string SystemIdentifier, int Timeline);
