"""psycopg 3, which is libpq: automatic preparing, pipelines, server cursors, COPY. Its connections are used by threads."""
import contextlib
import datetime
import decimal
import ipaddress
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg import errors
from psycopg.types.json import Json, Jsonb

from checks import check, database, direct, pooled, run_all


def connect(to=pooled, **options):
    return psycopg.connect(**to, dbname=database, **{"autocommit": True, **options})


@contextlib.contextmanager
def clients(count, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(**options)) for _ in range(count)]


def scalar(connection, *query, **options):
    return connection.execute(*query, **options).fetchone()[0]


def server(connection):
    return scalar(connection, "SELECT pg_backend_pid()")


def fails(error, run, *arguments, **options):
    try:
        run(*arguments, **options)
    except error:
        return
    raise AssertionError(f"{error.__name__} did not come")


VALUES = [
    ("SELECT %s::int4, %s::int8, %s::numeric, %s::float8, %s::bool", (1, 2**62, decimal.Decimal("1.50"), 0.1, True)),
    ("SELECT %s::text, %s::varchar(3), %s::bytea, %s::uuid", ("ä\t€😀", "abc", b"\x00\xff\n", uuid.UUID(int=7))),
    ("SELECT %s::json, %s::jsonb, %s::text", (Json({"a": [1, None, "x"]}), Jsonb({"b": {"c": True}}), None)),
    ("SELECT %s::int[], %s::text[], %s::date[]", ([1, 2, None], ["a", 'b"c', "{}"], [datetime.date(2026, 2, 3)])),
    ("SELECT %s::timestamptz, %s::timestamp, %s::interval",
     (datetime.datetime(2026, 1, 2, 3, 4, 5, 678, datetime.timezone.utc), datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.timedelta(1, 2))),
    ("SELECT %s::timestamptz::text", (datetime.datetime(2026, 1, 2, 3, 4, 5, 0, datetime.timezone.utc),)),
    ("SELECT %s::inet, 'NaN'::float8::text, '[1,5)'::int4range, '{}'::int[]", (ipaddress.ip_interface("10.0.0.1/8"),)),
]


@check("values are as directly, text and binary, in two time zones")
def _():
    for options in {}, {"options": "-c TimeZone=Asia/Tokyo"}:
        with connect(direct, **options) as oracle, clients(3, **options) as all:
            for text, parameters in VALUES:
                for binary in False, True:
                    expected = oracle.execute(text, parameters, binary=binary)
                    rows = expected.fetchall()
                    for prepare in None, True, True:
                        for client in all:
                            seen = client.execute(text, parameters, binary=binary, prepare=prepare)
                            assert seen.fetchall() == rows, (text, rows)
                            assert [(c.name, c.type_code) for c in seen.description] == [(c.name, c.type_code) for c in expected.description]


@check("statements are prepared by themselves, and live on every server")
def _():
    servers = set()
    with clients(4, prepare_threshold=2) as all:
        for turn in range(12):
            for i, client in enumerate(all):
                # Two clients have the same text, two have texts of their own under the same name.
                total, pid = client.execute(f"SELECT %s::int + {max(i, 1)}, pg_backend_pid()", (turn,)).fetchone()
                assert total == turn + max(i, 1)
                servers.add(pid)
            with all[turn % 4].transaction():
                all[turn % 4].execute("SELECT 1")
                servers.add(server(all[(turn + 1) % 4]))
    assert len(servers) == 2, servers


@check("a full cache lets statements go by DEALLOCATE")
def _():
    with clients(2, prepare_threshold=0) as all:
        for client in all:
            client.prepared_max = 3
        for turn in range(3):
            for i in range(10):
                for client in all:
                    assert scalar(client, f"SELECT {i} + %s::int", (turn,)) == i + turn
        # A change of the schema lets go of all of them.
        all[0].execute("CREATE TABLE psy_changed (a int)")
        for column in "b", "c", "d":
            for client in all:
                client.execute("SELECT * FROM psy_changed")
            all[0].execute(f"ALTER TABLE psy_changed ADD {column} int")
        assert len(all[0].execute("SELECT * FROM psy_changed").description) == 4
        all[0].execute("DROP TABLE psy_changed")
        assert scalar(all[1], "SELECT 1 + %s::int", (1,)) == 2


@check("transactions, errors and savepoints")
def _():
    with clients(3, prepare_threshold=0) as all:
        all[0].execute("CREATE TABLE psy_kept (id int PRIMARY KEY, word text)")

        def work(number, client):
            for turn in range(10):
                id = 100 * number + turn
                try:
                    with client.transaction():
                        client.execute("INSERT INTO psy_kept VALUES (%s, %s)", (id, f"word {id}"))
                        try:
                            with client.transaction():
                                client.execute("INSERT INTO psy_kept VALUES (%s, %s)", (id, "twice"))
                        except errors.UniqueViolation:
                            pass
                        assert scalar(client, "SELECT word FROM psy_kept WHERE id = %s", (id,)) == f"word {id}"
                        if turn % 2:
                            client.execute("SELECT 1 / %s::int", (0,))
                except errors.DivisionByZero:
                    assert turn % 2

        in_threads(work, enumerate(all))
        kept = [row[0] for row in all[1].execute("SELECT id FROM psy_kept ORDER BY id")]
        assert kept == [100 * i + turn for i in range(3) for turn in range(0, 10, 2)], kept


@check("without autocommit a connection keeps its server only in its transaction")
def _():
    with clients(3, autocommit=False) as all:
        for client in all[:2]:
            client.execute("SELECT 1")
        assert server(all[0]) != server(all[1])
        all[0].commit()
        assert scalar(all[2], "SELECT 3") == 3
        fails(errors.DivisionByZero, all[1].execute, "SELECT 1/0")
        fails(errors.InFailedSqlTransaction, all[1].execute, "SELECT 1")
        all[1].rollback()
        assert scalar(all[1], "SELECT 4") == 4


@check("pipelines of libpq, errors among them")
def _():
    with clients(3, prepare_threshold=2) as all:
        def work(number, client):
            for turn in range(4):
                with client.pipeline() as pipeline:
                    cursors = [client.execute("SELECT %s::int, %s::int", (number, i)) for i in range(100)]
                    pipeline.sync()
                    more = client.execute("SELECT 'more'")
                assert [cursor.fetchone() for cursor in cursors] == [(number, i) for i in range(100)]
                assert more.fetchone() == ("more",)
                with client.pipeline() as pipeline:
                    good = client.execute("SELECT 1")
                    pipeline.sync()
                    client.execute("SELECT 1 / %s::int", (0,))
                    skipped = client.execute("SELECT 2")
                    fails(errors.DivisionByZero, pipeline.sync)
                    fails(psycopg.Error, skipped.fetchone)
                    after = client.execute("SELECT 3")
                assert (good.fetchone(), after.fetchone()) == ((1,), (3,))
                with client.pipeline(), client.transaction():
                    inside = [client.execute("SELECT %s::int", (i,)) for i in range(10)]
                assert [cursor.fetchone()[0] for cursor in inside] == list(range(10))

        in_threads(work, enumerate(all))


@check("executemany, with and without what it returns")
def _():
    with clients(2) as all:
        all[0].execute("CREATE TABLE psy_many (id serial, a int)")
        for client in all:
            cursor = client.cursor()
            cursor.executemany("INSERT INTO psy_many (a) VALUES (%s)", [(i,) for i in range(500)])
            assert cursor.rowcount == 500
            cursor.executemany("INSERT INTO psy_many (a) VALUES (%s) RETURNING a", [(i,) for i in range(50)], returning=True)
            seen = [cursor.fetchone()[0]]
            while cursor.nextset():
                seen.append(cursor.fetchone()[0])
            assert seen == list(range(50))


@check("cursors of the server, in a transaction and WITH HOLD")
def _():
    with clients(3) as (one, two, other):
        with one.transaction(), one.cursor("c") as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT i FROM generate_series(1, %s::int) i", (1000,))
            for expected, row in enumerate(cursor, 1):
                assert row == (expected,)
                if expected % 100 == 0:
                    assert scalar(other, "SELECT 1") == 1
        with two.cursor("c", withhold=True, scrollable=True) as cursor:
            cursor.execute("SELECT i FROM generate_series(1, 1000) i")
            assert cursor.fetchmany(10)[-1] == (10,)
            assert scalar(one, "SELECT count(*) FROM pg_cursors") == 0
            cursor.scroll(500, mode="absolute")
            assert cursor.fetchone() == (501,)
        for client in one, two:
            assert sum(1 for _ in client.cursor().stream("SELECT generate_series(1, 1000)")) == 1000


@check("client side parameters and several statements in one string")
def _():
    with clients(2, cursor_factory=psycopg.ClientCursor) as all:
        for client in all:
            cursor = client.execute("SELECT %s; SELECT %s; SELECT 3", ("one's", 2))
            assert cursor.fetchone() == ("one's",)
            assert cursor.nextset() and cursor.fetchone() == (2,)
            assert cursor.nextset() and cursor.fetchone() == (3,)
            fails(errors.DivisionByZero, client.execute, "SELECT 1; SELECT 1/0")
            assert scalar(client, "SELECT 5") == 5


@check("COPY in, out, binary and given up")
def _():
    with clients(3) as (one, two, three):
        one.execute("CREATE TABLE psy_copied (id int, word text)")
        with one.cursor().copy("COPY psy_copied FROM STDIN") as copy:
            for i in range(5000):
                copy.write_row((i, f"word {i}"))
        with two.cursor().copy("COPY psy_copied FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            for i in range(5000, 10000):
                copy.write_row((i, f"word {i}"))
        with three.cursor().copy("COPY (SELECT * FROM psy_copied ORDER BY id) TO STDOUT") as copy:
            assert b"".join(copy) == b"".join(b"%d\tword %d\n" % (i, i) for i in range(10000))
        with one.cursor().copy("COPY (SELECT * FROM psy_copied WHERE id < 100 ORDER BY id) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == [(i, f"word {i}") for i in range(100)]

        def broken(client, *lines, then=None):
            with client.cursor().copy("COPY psy_copied FROM STDIN") as copy:
                for line in lines:
                    copy.write(line)
                if then:
                    raise then

        fails(errors.InvalidTextRepresentation, broken, two, "1\tone\n", "no number\tx\n")
        fails(errors.QueryCanceled, broken, three, "1\tone\n", then=KeyError())
        for client in two, three:
            assert scalar(client, "SELECT count(*) FROM psy_copied") == 10000


@check("LISTEN and NOTIFY")
def _():
    with clients(3) as (listener, sender, other):
        listener.execute("LISTEN psy_news")
        listening = server(listener)
        for i in range(10):
            sender.execute("SELECT pg_notify('psy_news', %s)", (f"number {i}",))
            assert server(sender) == server(other) != listening
        heard = []
        for notify in listener.notifies():
            heard.append((notify.channel, notify.payload))
            if len(heard) == 10:
                break
        assert heard == [("psy_news", f"number {i}") for i in range(10)], heard
        listener.execute("UNLISTEN *")


@check("a running query is cancelled, and it alone")
def _():
    with clients(3) as (victim, other, watcher), connect(direct) as past, ThreadPoolExecutor() as threads:
        undisturbed = threads.submit(scalar, other, "SELECT 'done' FROM pg_sleep(0.5)")
        stopped = threads.submit(fails, errors.QueryCanceled, victim.execute, "SELECT pg_sleep(60) /* psycopg is to stop it */")
        while not scalar(past, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%psycopg is to stop it %' AND pid <> pg_backend_pid()"):
            time.sleep(0.01)
        victim.cancel()
        stopped.result()
        assert undisturbed.result() == "done"
        assert scalar(victim, "SELECT 8") == scalar(watcher, "SELECT 8") == 8


@check("large parameters and rows")
def _():
    large = b"pooler " * 700_000
    with clients(2) as all:
        for client in all:
            for prepare in False, True:
                assert scalar(client, "SELECT %b::bytea", (large,), binary=True, prepare=prepare) == large
            assert len(client.execute("SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i").fetchall()) == 5000


@check("settings of the login and of the session")
def _():
    options = dict(options="-c TimeZone=Asia/Tokyo -c statement_timeout=12345", application_name="psycopg one")
    with clients(1, **options) as (one,), clients(2, application_name="psycopg two", client_encoding="latin1") as (two, three):
        for turn in range(4):
            if turn == 2:
                two.execute("SET TimeZone TO 'America/New_York'")
            with three.transaction():
                three.execute("SELECT 1")
                ask = "SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'), current_setting('client_encoding'))"
                assert scalar(one, ask) == "psycopg one 12345ms UTF8", scalar(one, ask)
                assert scalar(two, ask) == "psycopg two 0 LATIN1", scalar(two, ask)
                assert scalar(two, "SELECT %s::text", ("ä",)) == "ä"
                assert str(one.info.timezone) == scalar(one, "SHOW TimeZone") == "Asia/Tokyo"
                if turn >= 2:
                    assert str(two.info.timezone) == scalar(two, "SHOW TimeZone") == "America/New_York"


@check("a temporary table stays with its client")
def _():
    with clients(2) as (one, two):
        one.execute("CREATE TEMP TABLE psy_mine AS SELECT 1 AS a")
        fails(errors.UndefinedTable, two.execute, "SELECT * FROM psy_mine")
        assert scalar(one, "SELECT a FROM psy_mine") == 1


@check("a crowd shares two servers")
def _():
    servers = set()
    with connect() as owner:
        owner.execute("CREATE TABLE psy_crowd (id int PRIMARY KEY)")

        def work(number):
            with connect(prepare_threshold=1) as client:
                for turn in range(10):
                    id = 100 * number + turn
                    with client.transaction(force_rollback=turn % 5 == 0):
                        client.execute("INSERT INTO psy_crowd VALUES (%s)", (id,))
                        servers.add(server(client))
                        assert scalar(client, "SELECT id FROM psy_crowd WHERE id = %s AND xmin = pg_current_xact_id()::xid", (id,)) == id

        in_threads(work, [(i,) for i in range(20)])
        assert scalar(owner, "SELECT count(*) FROM psy_crowd") == 160
    assert len(servers) == 2, servers


def in_threads(work, arguments):
    arguments = list(arguments)
    with ThreadPoolExecutor(len(arguments)) as threads:
        for done in [threads.submit(work, *each) for each in arguments]:
            done.result()


run_all(lambda function: function())
