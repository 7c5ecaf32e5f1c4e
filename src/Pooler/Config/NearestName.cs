namespace Pooler.Config;

/// <summary>Finds the name somebody probably meant.</summary>
internal static class NearestName
{
    /// <summary>The candidate with the fewest edits (Levenshtein, case ignored), or null if even that one is too far.</summary>
    public static string? Find(string word, IEnumerable<string> candidates)
    {
        int limit = Math.Max(2, word.Length / 3);
        string? best = candidates.MinBy(candidate => Distance(word, candidate));
        return best is not null && Distance(word, best) <= limit ? best : null;
    }

    private static int Distance(string left, string right)
    {
        int[] row = [.. Enumerable.Range(0, right.Length + 1)];
        for (int i = 0; i < left.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i + 1;
            for (int j = 0; j < right.Length; j++)
            {
                int change = char.ToLowerInvariant(left[i]) == char.ToLowerInvariant(right[j]) ? 0 : 1;
                int here = Math.Min(diagonal + change, Math.Min(row[j], row[j + 1]) + 1);
                diagonal = row[j + 1];
                row[j + 1] = here;
            }
        }

        return row[^1];
    }
}
