using System.Runtime.InteropServices;
using System.Text;

namespace Pooler.Net;

/// <summary>
/// A connection to an LDAP server, with one deadline for all that is asked over it. It blocks: not for I/O threads. A server's
/// certificate is always verified, with its name, whatever TLS_REQCERT of ldap.conf says; against whom is as libldap has it: TLS_CACERT
/// of ldap.conf, or LDAPTLS_CACERT in the environment.
/// </summary>
internal sealed unsafe class LdapServer : IDisposable
{
    private const int OptDescriptor = 0x01, OptReferrals = 0x08, OptVersion = 0x11, OptDiagnostic = 0x32, OptTimeout = 0x5002, OptNetworkTimeout = 0x5005,
        OptTlsRequireCert = 0x6006, OptTlsNewContext = 0x600F;
    private const int TlsDemand = 2, Version3 = 3;
    private const int TimedOut = -5, LocalError = -2, SizeLimitExceeded = 4;
    private const string NoAttributes = "1.1";

    private readonly LdapLibrary.Functions _calls = LdapLibrary.Calls;
    private readonly long _deadline;
    private nint _handle;

    /// <param name="uri">scheme://host:port.</param>
    public LdapServer(string uri, TimeSpan limit)
    {
        IoThread.MustNotBeHere();
        _deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        nint handle = 0;
        fixed (byte* text = Text(uri))
        {
            if (_calls.Initialize(&handle, text) != 0)
            {
                throw new IOException($"ldap_initialize refuses {uri}");
            }
        }

        _handle = handle;
    }

    public LdapResult Connect(bool startTls)
    {
        int version = Version3, demand = TlsDemand, client = 0;
        bool isSet = _calls.SetOption(_handle, OptVersion, &version) == 0
            && _calls.SetOption(_handle, OptReferrals, null) == 0 // A server that sends us elsewhere is not followed.
            && _calls.SetOption(_handle, OptTlsRequireCert, &demand) == 0
            && _calls.SetOption(_handle, OptTlsNewContext, &client) == 0;
        if (!isSet)
        {
            return new LdapResult(LocalError, "libldap refuses an option: its TLS cannot be set up");
        }

        if (SetTimeouts() is { } late)
        {
            return late;
        }

        if (_calls.Connect != null && _calls.Connect(_handle) is var connected && connected != 0)
        {
            return Result(connected);
        }

        BoundReads();
        return startTls ? Result(_calls.StartTls(_handle, null, null)) : LdapResult.Success;
    }

    /// <summary>Simple bind. An empty password would be none at all, which servers take for a bind of nobody in particular: it is for searches only.</summary>
    public LdapResult Bind(string name, ReadOnlySpan<byte> password)
    {
        if (SetTimeouts() is { } late)
        {
            return late;
        }

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
        if (SetTimeouts() is { } late)
        {
            return late;
        }

        nint found = 0;
        nint* limit = stackalloc nint[2];
        TakeTime(limit);
        fixed (byte* below = Text(baseDn), text = Text(filter), attribute = Text(NoAttributes))
        {
            byte** attributes = stackalloc byte*[] { attribute, null };
            int code = _calls.Search(_handle, below, scope, text, attributes, 0, null, null, limit, 2, &found);
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
        if (_handle != 0)
        {
            _ = _calls.Unbind(_handle, null, null);
            _handle = 0;
        }
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

    /// <summary>libldap's timeouts are those of one operation: what is left of ours. Null: there is time.</summary>
    private LdapResult? SetTimeouts()
    {
        nint* time = stackalloc nint[2];
        if (!TakeTime(time))
        {
            return new LdapResult(TimedOut, "no answer within ldap_timeout");
        }

        bool isSet = _calls.SetOption(_handle, OptNetworkTimeout, time) == 0 && _calls.SetOption(_handle, OptTimeout, time) == 0;
        return isSet ? null : new LdapResult(LocalError, "libldap refuses its timeouts");
    }

    /// <summary>libldap waits for the first byte of an answer only: the kernel bounds the wait for the others (struct timeval on the socket).</summary>
    private void BoundReads()
    {
        int fd = -1;
        nint* time = stackalloc nint[2];
        if (_calls.GetOption(_handle, OptDescriptor, &fd) == 0 && fd >= 0 && TakeTime(time))
        {
            Syscalls.SetTimeouts(fd, new ReadOnlySpan<byte>(time, 2 * sizeof(nint)));
        }
    }

    /// <summary>What is left of the deadline, as a struct timeval; false: nothing.</summary>
    private bool TakeTime(nint* time)
    {
        long left = _deadline - Environment.TickCount64;
        time[0] = (nint)(left / 1000);
        time[1] = (nint)(left % 1000 * 1000);
        return left > 0;
    }

    private LdapResult Result(int code)
    {
        if (code == 0)
        {
            return LdapResult.Success;
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
