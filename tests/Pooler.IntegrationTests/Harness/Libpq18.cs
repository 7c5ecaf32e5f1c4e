using System.Runtime.InteropServices;

namespace Pooler.IntegrationTests.Harness;

/// <summary>libpq of PostgreSQL 18 in this process: the first that knows OAuth. Its token comes from a hook, for nobody is there to log in by a browser.</summary>
internal sealed class Libpq18
{
    private const int BearerToken = 1;

    private readonly nint _library;
    private readonly AuthDataHook _hook;
    private string _token = "";

    private Libpq18(nint library)
    {
        _library = library;
        _hook = GiveToken;
        Function<SetAuthDataHook>("PQsetAuthDataHook")(_hook);
        Assert.Equal(0, setenv("PGOAUTHDEBUG", "UNSAFE", 1)); // Takes an issuer without TLS.
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int AuthDataHook(int type, nint connection, nint request);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void SetAuthDataHook(AuthDataHook hook);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate nint Connect([MarshalAs(UnmanagedType.LPUTF8Str)] string keywords);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate nint Of(nint connection);

    /// <summary>Null where there is none.</summary>
    public static Libpq18? Load()
    {
        string? programs = PostgresVersions.ProgramsOf(18);
        string path = Path.Combine(Path.GetDirectoryName(programs) ?? "", "lib", "libpq.so.5");
        return File.Exists(path) ? new Libpq18(NativeLibrary.Load(path)) : null;
    }

    /// <summary>What libpq asked for when it wanted a token: the discovery document, and the scope.</summary>
    public (string? Document, string? Scope) Asked { get; private set; }

    /// <summary>Empty when it got in, else its error message.</summary>
    public string Login(string keywords, string token)
    {
        (_token, Asked) = (token, default);
        nint connection = Function<Connect>("PQconnectdb")(keywords);
        bool isIn = Function<Of>("PQstatus")(connection) == 0;
        string message = Marshal.PtrToStringUTF8(Function<Of>("PQerrorMessage")(connection))!;
        Function<Of>("PQfinish")(connection);
        return isIn ? "" : message;
    }

    [DllImport("libc", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int setenv(string name, string value, int overwrite);

    private int GiveToken(int type, nint connection, nint request)
    {
        if (type != BearerToken)
        {
            return 0;
        }

        // PGoauthBearerRequest of libpq-fe.h: document, scope; two functions; the token.
        Asked = (Marshal.PtrToStringUTF8(Marshal.ReadIntPtr(request)), Marshal.PtrToStringUTF8(Marshal.ReadIntPtr(request, nint.Size)));
        Marshal.WriteIntPtr(request, 4 * nint.Size, Marshal.StringToCoTaskMemUTF8(_token));
        return 1;
    }

    private T Function<T>(string name)
        where T : Delegate => Marshal.GetDelegateForFunctionPointer<T>(NativeLibrary.GetExport(_library, name));
}
