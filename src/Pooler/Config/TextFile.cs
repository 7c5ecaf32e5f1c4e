using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Pooler.Config;

/// <summary>Reads a configuration file whole.</summary>
internal static class TextFile
{
    // A replaced byte in a password would only show up as a failed login, so bytes that are not UTF-8 are an error.
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static bool TryRead(string path, [NotNullWhen(true)] out string? text, [NotNullWhen(false)] out string? problem)
    {
        text = null;
        problem = null;
        try
        {
            text = File.ReadAllText(path, StrictUtf8);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            problem = $"could not read \"{path}\": {Reason(e)}";
            return false;
        }
    }

    private static string Reason(Exception e) => e switch
    {
        FileNotFoundException or DirectoryNotFoundException => "there is no such file",
        UnauthorizedAccessException => "it is a directory, or this process may not read it",
        DecoderFallbackException => "it is not valid UTF-8",
        _ => e.Message,
    };
}
