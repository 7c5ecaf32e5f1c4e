using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Pooler.Config;

/// <summary>Reads a configuration file whole.</summary>
internal static class TextFile
{
    // A replaced byte in a password would only show up as a failed login, so bytes that are not UTF-8 are an error.
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Bytes: more than a hundred thousand entries, less than what a device without an end gives.</summary>
    private const int Longest = 64 << 20;

    public static bool TryRead(string path, [NotNullWhen(true)] out string? text, [NotNullWhen(false)] out string? problem)
    {
        text = null;
        problem = null;
        try
        {
            using var reader = new StreamReader(path, StrictUtf8);
            var content = new StringBuilder();
            char[] part = new char[16_384];
            for (int read; (read = reader.Read(part)) > 0;)
            {
                content.Append(part, 0, read);
                if (content.Length > Longest)
                {
                    problem = $"could not read \"{path}\": it is longer than {Longest >> 20} MB";
                    return false;
                }
            }

            text = content.ToString();
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
