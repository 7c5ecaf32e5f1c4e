using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Pooler.Config;

/// <summary>The client addresses of an HBA line; null networks: all.</summary>
internal sealed record HbaAddress(IPNetwork[]? Networks)
{
    public static readonly HbaAddress All = new(Networks: null);

    public bool Holds(IPAddress address)
    {
        IPAddress plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return Networks == null || Networks.Any(network => network.BaseAddress.AddressFamily == plain.AddressFamily && network.Contains(plain));
    }

    /// <summary>Of one or two words; false for anything that is no address, a host name too: whose it is can be another's tomorrow.</summary>
    public static bool TryParse(HbaName word, out bool needsMask, out HbaAddress address)
    {
        (needsMask, address) = (false, All);
        if (word.Is("all"))
        {
            return true;
        }

        if (word.Is("samehost") || word.Is("samenet"))
        {
            address = new HbaAddress(OwnNetworks(wholeNet: word.Text == "samenet"));
            return true;
        }

        if (IPNetwork.TryParse(Aligned(word.Text), out IPNetwork network))
        {
            address = new HbaAddress([network]);
            return true;
        }

        needsMask = IPAddress.TryParse(word.Text, out _);
        return needsMask;
    }

    /// <summary>An address and its mask in words of their own.</summary>
    public static bool TryParse(HbaName word, HbaName mask, out HbaAddress address)
    {
        address = All;
        if (!IPAddress.TryParse(word.Text, out IPAddress? at) || !IPAddress.TryParse(mask.Text, out IPAddress? bits) || at.AddressFamily != bits.AddressFamily)
        {
            return false;
        }

        int length = PrefixOf(bits);
        if (length < 0 || !IPNetwork.TryParse(Aligned($"{at}/{length}"), out IPNetwork network))
        {
            return false;
        }

        address = new HbaAddress([network]);
        return true;
    }

    /// <summary>Bits beyond the prefix count for nothing, as in PostgreSQL; the library wants them to be zero.</summary>
    private static string Aligned(string text)
    {
        int slash = text.IndexOf('/');
        if (slash < 0 || !IPAddress.TryParse(text.AsSpan(0, slash), out IPAddress? address) || !byte.TryParse(text.AsSpan(slash + 1), out byte length))
        {
            return text;
        }

        byte[] bytes = address.GetAddressBytes();
        for (int i = 0; i < bytes.Length; i++)
        {
            int kept = Math.Clamp(length - (i * 8), 0, 8);
            bytes[i] &= (byte)(0xFF00 >> kept);
        }

        return length <= bytes.Length * 8 ? $"{new IPAddress(bytes)}/{length}" : text;
    }

    /// <summary>-1 when its ones do not stand together.</summary>
    private static int PrefixOf(IPAddress mask)
    {
        string bits = string.Concat(mask.GetAddressBytes().Select(static b => Convert.ToString(b, 2).PadLeft(8, '0')));
        int ones = bits.TakeWhile(static c => c == '1').Count();
        return bits.LastIndexOf('1') < ones ? ones : -1;
    }

    /// <summary>Of this machine, as they are when the file is read.</summary>
    private static IPNetwork[] OwnNetworks(bool wholeNet) =>
    [
        .. NetworkInterface.GetAllNetworkInterfaces()
            .SelectMany(static one => one.GetIPProperties().UnicastAddresses)
            .Where(static own => own.Address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
            .Select(own => IPNetwork.Parse(Aligned($"{WithoutScope(own.Address)}/{(wholeNet ? own.PrefixLength : own.Address.GetAddressBytes().Length * 8)}"))),
    ];

    private static IPAddress WithoutScope(IPAddress address) => new(address.GetAddressBytes());
}
