using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Pooler.Net;

/// <summary>
/// A connection to an LDAP server, with one deadline for all that is asked over it. It blocks: not for I/O threads. A server's
/// certificate is always verified, with its name, whatever TLS_REQCERT of ldap.conf says; against whom is as libldap has it: TLS_CACERT
/// of ldap.conf, or LDAPTLS_CACERT in the environment.
/// </summary>
/// <remarks>
/// The socket is ours: libldap has no time limit for a TLS handshake (with GnuTLS it spins), nor for the second half of an answer. At
/// the deadline the socket is shut down, which ends whatever waits for it.
/// </remarks>
internal sealed unsafe class LdapServer : IDisposable
{
    private const int OptReferrals = 0x08, OptVersion = 0x11, OptDiagnostic = 0x32, OptTimeout = 0x5002, OptNetworkTimeout = 0x5005, OptUri = 0x5006;
    private const int ProtocolTcp = 1, Version3 = 3;
    private const int ServerDown = -1, LocalError = -2, SizeLimitExceeded = 4;
    private const string NoAttributes = "1.1";

    private readonly LdapLibrary.Functions _calls = LdapLibrary.Calls;
    private readonly Uri _uri;
    private readonly long _deadline;
    private readonly SocketDeadline _socket = new();
    private nint _handle;

    /// <param name="uri">scheme://host:port.</param>
    public LdapServer(string uri, TimeSpan limit)
    {
        IoThread.MustNotBeHere();
        _uri = new Uri(uri);
        _deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
    }

    private TimeSpan Left => TimeSpan.FromMilliseconds(Math.Max(1, _deadline - Environment.TickCount64));

    public LdapResult Connect(bool startTls)
    {
        if (ConnectSocket() is { } problem)
        {
            return new LdapResult(ServerDown, problem);
        }

        nint handle = 0;
        fixed (byte* text = Text(_uri.OriginalString))
        {
            if (_calls.InitializeFd(_socket.Fd, ProtocolTcp, text, &handle) != 0)
            {
                return new LdapResult(LocalError, "libldap refuses the connection");
            }
        }

        _handle = handle;
        return SetUp() ?? (startTls ? Tls(_calls.StartTls(_handle, null, null)) : _uri.Scheme == "ldaps" ? Tls(_calls.InstallTls(_handle)) : LdapResult.Success);
    }

    /// <summary>Simple bind. An empty password would be none at all, which servers take for a bind of nobody in particular: it is for searches only.</summary>
    public LdapResult Bind(string name, ReadOnlySpan<byte> password)
    {
        fixed (byte* dn = Text(name), secret = password)
        {
            byte none = 0;
            var credentials = new LdapLibrary.BerValue { Length = (nuint)password.Length, Data = password.IsEmpty ? &none : secret };
            return Result(_calls.Bind(_handle, dn, null, &credentials, null, null, null));
        }
    }

    /// <summary>The name of the one entry that fits; none, or several, is no success.</summary>
    public LdapResult Find(string baseDn, int scope, string filter, out string name)
    {
        name = "";
        nint found = 0;
        fixed (byte* below = Text(baseDn), text = Text(filter), attribute = Text(NoAttributes))
        {
            byte** attributes = stackalloc byte*[] { attribute, null };
            int code = _calls.Search(_handle, below, scope, text, attributes, 0, null, null, null, 2, &found);
            try
            {
                return code is not (0 or SizeLimitExceeded) ? Result(code) : Take(found, code == SizeLimitExceeded, out name);
            }
            finally
            {
                _ = found != 0 ? _calls.FreeMessage(found) : 0;
            }
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        if (_handle != 0)
        {
            _ = _calls.Unbind(_handle, null, null);
            _handle = 0;
        }
        else if (_socket.Fd >= 0)
        {
            Syscalls.Close(_socket.Fd);
        }
    }

    /// <summary>The addresses of a name in turn; null when one has taken the connection.</summary>
    private string? ConnectSocket()
    {
        string problem = "it has no address";
        IPAddress[] addresses;
        try
        {
            addresses = IPAddress.TryParse(_uri.Host.Trim('[', ']'), out IPAddress? literal) ? [literal] : Dns.GetHostAddresses(_uri.DnsSafeHost);
        }
        catch (SocketException e)
        {
            return e.Message;
        }

        foreach (IPAddress address in addresses)
        {
            int fd = Syscalls.BlockingSocket(address.AddressFamily == AddressFamily.InterNetworkV6 ? Syscalls.AF_INET6 : Syscalls.AF_INET, Left);
            int result = fd < 0 ? fd : Syscalls.Connect(fd, new IPEndPoint(address, _uri.Port).Serialize());
            if (result == 0)
            {
                _socket.Begin(fd, Left);
                return null;
            }

            problem = result == -Syscalls.EINPROGRESS ? "no connection within ldap_timeout" : Syscalls.ErrorText(-result);
            if (fd >= 0)
            {
                Syscalls.Close(fd);
            }
        }

        return problem;
    }

    private LdapResult? SetUp()
    {
        int version = Version3, demand = LdapLibrary.TlsDemand;
        nint* none = stackalloc nint[] { -1, 0 };
        fixed (byte* nowhere = Text("ldapi://%2Fnowhere"))
        {
            bool isSet = _calls.SetOption(_handle, OptVersion, &version) == 0
                && _calls.SetOption(_handle, OptReferrals, null) == 0 // A server that sends us elsewhere is not followed.
                && _calls.SetOption(_handle, OptUri, nowhere) == 0 // When the connection is lost libldap would make another, without StartTLS.
                && _calls.SetOption(_handle, OptNetworkTimeout, none) == 0
                && _calls.SetOption(_handle, OptTimeout, none) == 0
                && _calls.SetOption(_handle, LdapLibrary.TlsRequireCert, &demand) == 0;
            return isSet ? null : new LdapResult(LocalError, "libldap refuses an option");
        }
    }

    private LdapResult Tls(int code)
    {
        LdapResult result = Result(code);
        return result.IsSuccess || _socket.IsOver ? result : result with
        {
            Text = $"no TLS: {result.Text}; its certificate must be for this name, and signed by an authority in TLS_CACERT of ldap.conf, or LDAPTLS_CACERT",
        };
    }

    private LdapResult Take(nint found, bool isMore, out string name)
    {
        name = "";
        int count = found == 0 ? 0 : _calls.CountEntries(_handle, found);
        if (count != 1 || isMore)
        {
            return LdapResult.NoSuchUser(count == 0 ? "the search has found nobody" : "the search has found several");
        }

        byte* text = _calls.NameOf(_handle, _calls.FirstEntry(_handle, found));
        name = Marshal.PtrToStringUTF8((nint)text) ?? "";
        _calls.Free(text);
        return name.Length > 0 ? LdapResult.Success : LdapResult.NoSuchUser("the search has found an entry without a name");
    }

    private LdapResult Result(int code)
    {
        if (code == 0)
        {
            return LdapResult.Success;
        }

        if (_socket.IsOver)
        {
            return new LdapResult(ServerDown, "no answer within ldap_timeout");
        }

        byte* detail = null;
        _ = _calls.GetOption(_handle, OptDiagnostic, &detail);
        string text = Marshal.PtrToStringUTF8((nint)_calls.ErrorText(code)) ?? $"error {code}", more = Marshal.PtrToStringUTF8((nint)detail) ?? "";
        if (detail != null)
        {
            _calls.Free(detail);
        }

        return new LdapResult(code, more.Length > 0 ? $"{text} ({more})" : text);
    }

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text + "\0");
}
