using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Pooler.Net;

/// <summary>
/// Pluggable authentication modules (pam(3)), as PostgreSQL and PgBouncer ask them. libpam is loaded by the first login that needs it:
/// without it everything else works. What modules do blocks: not for I/O threads.
/// </summary>
internal static unsafe class PamLibrary
{
    private const string Name = "libpam.so.0";
    private const int Success = 0, ConversationError = 19;
    private const int ItemRemoteHost = 4, Silent = 0x8000;
    private const int PromptEchoOff = 1, ErrorMessage = 3, TextInfo = 4, MostMessages = 32;

    private static readonly Lazy<Functions?> Loaded = new(static () => NativeLibrary.TryLoad(Name, out nint library) ? new Functions(library) : null);

    /// <summary>Whether this machine has it. Reads files: not for I/O threads.</summary>
    public static bool IsThere => Loaded.Value != null;

    /// <summary>Null when the password is the user's and his account may be used now; else why not, for the log.</summary>
    public static string? Check(string service, string user, byte[] password, string remoteHost)
    {
        IoThread.MustNotBeHere();
        if (Loaded.Value is not { } calls)
        {
            return $"{Name} is not installed";
        }

        fixed (byte* serviceText = Text(service), userText = Text(user), hostText = Text(remoteHost), secret = password)
        {
            var answer = new PamAnswer { Data = secret, Length = password.Length };
            var conversation = new PamConversation { Converse = &Converse, Answer = &answer };
            nint handle = 0;
            int code = calls.Start(serviceText, userText, &conversation, &handle);
            if (code != Success)
            {
                return $"pam_start: error {code}";
            }

            string? problem = Step(calls, handle, "pam_set_item", code = calls.SetItem(handle, ItemRemoteHost, hostText))
                ?? Step(calls, handle, "pam_authenticate", code = calls.Authenticate(handle, Silent))
                ?? Step(calls, handle, "pam_acct_mgmt", code = calls.CheckAccount(handle, Silent));
            _ = calls.End(handle, code);
            return problem;
        }
    }

    private static string? Step(Functions calls, nint handle, string name, int code) =>
        code == Success ? null : $"{name}: {Marshal.PtrToStringUTF8((nint)calls.ErrorText(handle, code)) ?? $"error {code}"}";

    /// <summary>
    /// Modules ask: the password is the answer to what is asked without echo, and there is no other. PAM frees what it gets, with libc's
    /// free. No exception may leave.
    /// </summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Converse(int count, PamMessage** messages, PamResponse** responses, PamAnswer* answer)
    {
        if (count is < 1 or > MostMessages)
        {
            return ConversationError;
        }

        var found = (PamResponse*)NativeMemory.AllocZeroed((nuint)count, (nuint)sizeof(PamResponse));
        for (int i = 0; i < count; i++)
        {
            int style = messages[i]->Style;
            if (style == PromptEchoOff)
            {
                found[i].Text = (byte*)NativeMemory.AllocZeroed((nuint)answer->Length + 1);
                new ReadOnlySpan<byte>(answer->Data, answer->Length).CopyTo(new Span<byte>(found[i].Text, answer->Length));
            }
            else if (style is not (ErrorMessage or TextInfo))
            {
                Free(found, i, answer->Length);
                return ConversationError;
            }
        }

        *responses = found;
        return Success;
    }

    private static void Free(PamResponse* responses, int count, int length)
    {
        for (int i = 0; i < count; i++)
        {
            if (responses[i].Text != null)
            {
                NativeMemory.Clear(responses[i].Text, (nuint)length);
                NativeMemory.Free(responses[i].Text);
            }
        }

        NativeMemory.Free(responses);
    }

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text + "\0");

    private sealed class Functions(nint library)
    {
        public readonly delegate* unmanaged<byte*, byte*, PamConversation*, nint*, int> Start =
            (delegate* unmanaged<byte*, byte*, PamConversation*, nint*, int>)NativeLibrary.GetExport(library, "pam_start");
        public readonly delegate* unmanaged<nint, int, void*, int> SetItem = (delegate* unmanaged<nint, int, void*, int>)NativeLibrary.GetExport(library, "pam_set_item");
        public readonly delegate* unmanaged<nint, int, int> Authenticate = (delegate* unmanaged<nint, int, int>)NativeLibrary.GetExport(library, "pam_authenticate");
        public readonly delegate* unmanaged<nint, int, int> CheckAccount = (delegate* unmanaged<nint, int, int>)NativeLibrary.GetExport(library, "pam_acct_mgmt");
        public readonly delegate* unmanaged<nint, int, int> End = (delegate* unmanaged<nint, int, int>)NativeLibrary.GetExport(library, "pam_end");
        public readonly delegate* unmanaged<nint, int, byte*> ErrorText = (delegate* unmanaged<nint, int, byte*>)NativeLibrary.GetExport(library, "pam_strerror");
    }

    /// <summary>struct pam_message.</summary>
    private readonly record struct PamMessage(int Style, nint Text);

    /// <summary>struct pam_response: the text, and a code that is always 0.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 16)]
    private struct PamResponse
    {
        public byte* Text;
    }

    /// <summary>struct pam_conv.</summary>
    private struct PamConversation
    {
        public delegate* unmanaged[Cdecl]<int, PamMessage**, PamResponse**, PamAnswer*, int> Converse;
        public PamAnswer* Answer;
    }

    private struct PamAnswer
    {
        public byte* Data;
        public int Length;
    }
}
