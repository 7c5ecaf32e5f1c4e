namespace Pooler.Sql;

/// <summary>What a name or an operator may stand for in a database; several objects may share it.</summary>
[Flags]
internal enum NameUse : byte
{
    None = 0,

    /// <summary>Functions of which none is volatile.</summary>
    Function = 1,

    /// <summary>Functions of which one is volatile, or answers otherwise on a standby.</summary>
    VolatileFunction = 2,

    /// <summary>set_config: changes the session and nothing else.</summary>
    SessionFunction = 4,

    /// <summary>current_setting: whether it answers otherwise on a standby hangs on its argument.</summary>
    SettingFunction = 8,

    /// <summary>A relation, type or function called like a column, of which a mere mention runs a volatile function or fails on a standby.</summary>
    Unsafe = 16,

    /// <summary>An operator whose function is volatile.</summary>
    VolatileOperator = 32,

    /// <summary>All that count where a name is called.</summary>
    Call = Function | VolatileFunction | SessionFunction | SettingFunction,
}
