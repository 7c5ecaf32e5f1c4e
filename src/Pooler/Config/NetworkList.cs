using System.Net;

namespace Pooler.Config;

/// <summary>Networks, as they are written in a setting.</summary>
internal sealed record NetworkList(string Text, HbaAddress[] Networks)
{
    public bool IsEmpty => Networks.Length == 0;

    public bool Holds(IPAddress address) => Networks.Any(network => network.Holds(address));

    public static bool TryParse(string text, out NetworkList list)
    {
        List<HbaAddress> networks = [];
        foreach (string word in text.Split([',', ' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        {
            // An address alone is one host.
            if (!HbaAddress.TryParse(new HbaName(word, IsQuoted: false), out bool needsMask, out HbaAddress address)
                || (needsMask && !HbaAddress.TryParse(new HbaName(word + (word.Contains(':') ? "/128" : "/32"), IsQuoted: false), out _, out address)))
            {
                list = new NetworkList("", []);
                return false;
            }

            networks.Add(address);
        }

        list = new NetworkList(text, [.. networks]);
        return true;
    }
}
