using System.Runtime.InteropServices;

namespace Pooler.Net;

/// <summary>
/// OpenLDAP's client library, which PostgreSQL and PgBouncer ask too (ldap(3)). It is loaded by the first login that needs it: without it
/// everything else works. .NET's own classes for LDAP stand on it as well, but nothing bounds the time of their bind.
/// </summary>
internal static unsafe class LdapLibrary
{
    internal const int TlsRequireCert = 0x6006, TlsDemand = 2;
    private const int TlsNewContext = 0x600F;

    /// <summary>2.5 is Debian 12's and Ubuntu 22.04's, libldap.so.2 that of 2.6 and later; of 2.4 only this one is for several threads.</summary>
    private static readonly string[] Names = ["libldap-2.5.so.0", "libldap.so.2", "libldap_r-2.4.so.2"];

    private static readonly Lazy<Functions?> Loaded = new(Load);

    /// <summary>Whether this machine has it. Reads files: not for I/O threads.</summary>
    public static bool IsThere => Loaded.Value != null;

    internal static Functions Calls => Loaded.Value ?? throw new DllNotFoundException($"libldap is not installed (looked for {string.Join(", ", Names)})");

    private static Functions? Load()
    {
        foreach (string name in Names)
        {
            if (NativeLibrary.TryLoad(name, out nint library))
            {
                var functions = new Functions(library);
                functions.InitializeOnce();
                return functions;
            }
        }

        return null;
    }

    internal sealed class Functions(nint library)
    {
        public readonly delegate* unmanaged<nint, int, void*, int> SetOption = (delegate* unmanaged<nint, int, void*, int>)Find(library, "ldap_set_option");
        public readonly delegate* unmanaged<nint, int, void*, int> GetOption = (delegate* unmanaged<nint, int, void*, int>)Find(library, "ldap_get_option");
        public readonly delegate* unmanaged<nint, void*, void*, int> StartTls = (delegate* unmanaged<nint, void*, void*, int>)Find(library, "ldap_start_tls_s");
        public readonly delegate* unmanaged<nint, byte*, byte*, BerValue*, void*, void*, void*, int> Bind =
            (delegate* unmanaged<nint, byte*, byte*, BerValue*, void*, void*, void*, int>)Find(library, "ldap_sasl_bind_s");
        public readonly delegate* unmanaged<nint, byte*, int, byte*, byte**, int, void*, void*, nint*, int, nint*, int> Search =
            (delegate* unmanaged<nint, byte*, int, byte*, byte**, int, void*, void*, nint*, int, nint*, int>)Find(library, "ldap_search_ext_s");
        public readonly delegate* unmanaged<nint, nint, int> CountEntries = (delegate* unmanaged<nint, nint, int>)Find(library, "ldap_count_entries");
        public readonly delegate* unmanaged<nint, nint, nint> FirstEntry = (delegate* unmanaged<nint, nint, nint>)Find(library, "ldap_first_entry");
        public readonly delegate* unmanaged<nint, nint, byte*> NameOf = (delegate* unmanaged<nint, nint, byte*>)Find(library, "ldap_get_dn");
        public readonly delegate* unmanaged<void*, void> Free = (delegate* unmanaged<void*, void>)Find(library, "ldap_memfree");
        public readonly delegate* unmanaged<nint, int> FreeMessage = (delegate* unmanaged<nint, int>)Find(library, "ldap_msgfree");
        public readonly delegate* unmanaged<nint, void*, void*, int> Unbind = (delegate* unmanaged<nint, void*, void*, int>)Find(library, "ldap_unbind_ext_s");
        public readonly delegate* unmanaged<int, byte*> ErrorText = (delegate* unmanaged<int, byte*>)Find(library, "ldap_err2string");

        /// <summary>Takes a socket that is connected; without TLS, whatever the scheme.</summary>
        public readonly delegate* unmanaged<int, int, byte*, nint*, int> InitializeFd = (delegate* unmanaged<int, int, byte*, nint*, int>)Find(library, "ldap_init_fd");

        /// <summary>The TLS handshake.</summary>
        public readonly delegate* unmanaged<nint, int> InstallTls = (delegate* unmanaged<nint, int>)Find(library, "ldap_install_tls");

        /// <summary>
        /// The first call reads ldap.conf and the environment, which two threads should not do at once. All connections have one TLS
        /// context; it is made here, so that OpenSSL verifies certificates whatever these say. It is refused where nobody is trusted.
        /// </summary>
        public void InitializeOnce()
        {
            var initialize = (delegate* unmanaged<nint*, byte*, int>)Find(library, "ldap_initialize");
            nint handle = 0;
            if (initialize(&handle, null) == 0)
            {
                _ = Unbind(handle, null, null);
            }

            int demand = TlsDemand, client = 0;
            _ = SetOption(0, TlsRequireCert, &demand);
            _ = SetOption(0, TlsNewContext, &client);
        }

        private static nint Find(nint library, string name) => NativeLibrary.GetExport(library, name);
    }

    /// <summary>struct berval.</summary>
    internal struct BerValue
    {
        public nuint Length;
        public byte* Data;
    }
}
