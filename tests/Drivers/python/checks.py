"""What the programs of this folder share. Each is run as: python3 PROGRAM POOLER-PORT POSTGRES-PORT DATABASE USER PASSWORD
and prints one line a check, "ok NAME" or "not ok NAME: WHY", and at the end how many there were."""
import faulthandler
import sys
import traceback

_pooler_port, _postgres_port, _database, _user, _password = sys.argv[1:]
_checks = []

# Where a connection goes: through the pooler, and past it.
pooled = dict(host="127.0.0.1", port=int(_pooler_port), user=_user, password=_password)
direct = dict(pooled, port=int(_postgres_port))
database = _database


def check(name):
    def keep(function):
        _checks.append((name, function))
        return function
    return keep


def run_all(run):
    """Every check by run; one that hangs ends the program with the stack of every thread."""
    failed = 0
    for name, function in _checks:
        faulthandler.dump_traceback_later(20, exit=True)
        try:
            run(function)
            print("ok", name, flush=True)
        except BaseException:
            failed += 1
            print(f"not ok {name}:", " | ".join(traceback.format_exc().splitlines()), flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(len(_checks), "checks")
    sys.exit(failed > 0)
