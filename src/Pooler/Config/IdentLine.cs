namespace Pooler.Config;

/// <summary>A line of auth_ident_file: whom the system calls so may log in as that user.</summary>
internal sealed record IdentLine(string Map, string SystemUser, HbaName User)
{
    public static IdentLine? Parse(string file, int line, List<List<HbaName>> fields, List<ConfigError> errors)
    {
        string? problem = fields.Count != 3 || fields.Exists(static field => field.Count != 1) ? "a line has three fields: map, system user, user"
            : fields[1][0] is { IsQuoted: false, Text: ['/', ..] } || fields[2][0] is { IsQuoted: false, Text: ['/' or '+', ..] }
                ? "regular expressions and +role are not supported: name each user in a line"
            : null;
        if (problem == null)
        {
            return new IdentLine(fields[0][0].Text, fields[1][0].Text, fields[2][0]);
        }

        errors.Add(new ConfigError(file, line, problem));
        return null;
    }
}
