"""asyncpg: everything is prepared and kept in a cache, values are binary."""
import asyncio
import contextlib
import datetime
import decimal
import io
import ipaddress
import json
import uuid

import asyncpg

from checks import check, database, direct, pooled, run_all


# Its question about types is one that PostgreSQL would compile for a second, so its users turn jit off.
JIT_OFF = {"jit": "off"}


def connect(to=pooled, server_settings={}, **options):
    return asyncpg.connect(**to, database=database, ssl=False, server_settings=JIT_OFF | server_settings, **options)


@contextlib.asynccontextmanager
async def clients(count, **options):
    async with contextlib.AsyncExitStack() as stack:
        connections = []
        for _ in range(count):
            connections.append(await connect(**options))
            stack.push_async_callback(connections[-1].close)
        yield connections


async def server(connection):
    return await connection.fetchval("SELECT pg_backend_pid()")


async def fails(error, awaitable):
    try:
        await awaitable
    except error:
        return
    raise AssertionError(f"{error.__name__} did not come")


VALUES = [
    ("SELECT $1::int4, $2::int8, $3::numeric, $4::float8, $5::bool", (1, 2**62, decimal.Decimal("1.50"), 0.1, True)),
    ("SELECT $1::text, $2::varchar(3), $3::bytea, $4::uuid", ("ä\t€😀", "abc", b"\x00\xff\n", uuid.UUID(int=7))),
    ("SELECT $1::json, $2::jsonb, $3::text", (json.dumps({"a": [1, None, "x"]}), json.dumps({"b": {"c": True}}), None)),
    ("SELECT $1::int[], $2::text[], $3::date[]", ([1, 2, None], ["a", 'b"c', "{}"], [datetime.date(2026, 2, 3)])),
    ("SELECT $1::timestamptz, $2::timestamp, $3::interval",
     (datetime.datetime(2026, 1, 2, 3, 4, 5, 678, datetime.timezone.utc), datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.timedelta(1, 2))),
    ("SELECT $1::timestamptz::text", (datetime.datetime(2026, 1, 2, 3, 4, 5, 0, datetime.timezone.utc),)),
    ("SELECT $1::inet, '[1,5)'::int4range, ROW(1, 'x'::text), point '(1,2)'", (ipaddress.ip_interface("10.0.0.1/8"),)),
]


@check("values are as directly, in two time zones")
async def _():
    for options in {}, {"server_settings": {"TimeZone": "Asia/Tokyo"}}:
        oracle = await connect(direct, **options)
        async with clients(3, **options) as all:
            for text, parameters in VALUES:
                expected = await oracle.fetch(text, *parameters)
                for _ in range(3):
                    for client in all:
                        assert await client.fetch(text, *parameters) == expected, text
        await oracle.close()


@check("types of the database's own are looked up on any server")
async def _():
    async with clients(3) as all:
        await all[0].execute("CREATE TYPE asy_mood AS ENUM ('good', 'bad'); CREATE TYPE asy_pair AS (a int, b asy_mood)")
        for client in all:
            assert await client.fetchval("SELECT $1::asy_mood[]", ["good", "bad"]) == ["good", "bad"]
            assert tuple(await client.fetchval("SELECT ROW(1, 'bad')::asy_pair")) == (1, "bad")
            await client.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            assert await client.fetchval("SELECT $1::jsonb", {"a": 1}) == {"a": 1}


@check("prepared statements live on every server, with caches of any size")
async def _():
    servers = set()
    for size in 0, 2, 100:
        async with clients(4, statement_cache_size=size) as all:
            kept = []
            for i, client in enumerate(all):
                # It prepares with Flush, so the server is its until the first use.
                kept.append(await client.prepare(f"SELECT $1::int + {max(i, 1)}, pg_backend_pid()"))
                await kept[i].fetchrow(0)
            for turn in range(12):
                async with all[turn % 4].transaction():
                    for i, client in enumerate(all):
                        total, pid = await kept[i].fetchrow(turn)
                        assert total == turn + max(i, 1)
                        servers.add(pid)
                        assert await client.fetchval(f"SELECT {turn % 5} + $1::int", i) == turn % 5 + i
    assert len(servers) == 2, servers


@check("a change of the schema, without its cache")
async def _():
    async with clients(2, statement_cache_size=0) as all:
        await all[0].execute("CREATE TABLE asy_changed (a int); INSERT INTO asy_changed VALUES (1)")
        for column in "b", "c":
            for client in all:
                assert len(await client.fetch("SELECT * FROM asy_changed")) == 1
            await all[0].execute(f"ALTER TABLE asy_changed ADD {column} int")
        for client in all:
            assert len((await client.fetch("SELECT * FROM asy_changed"))[0]) == 3


@check("transactions, errors and savepoints")
async def _():
    async with clients(3) as all:
        await all[0].execute("CREATE TABLE asy_kept (id int PRIMARY KEY, word text)")

        async def work(number, client):
            for turn in range(10):
                id = 100 * number + turn
                try:
                    async with client.transaction():
                        await client.execute("INSERT INTO asy_kept VALUES ($1, $2)", id, f"word {id}")
                        try:
                            async with client.transaction():
                                await client.execute("INSERT INTO asy_kept VALUES ($1, $2)", id, "twice")
                        except asyncpg.UniqueViolationError:
                            pass
                        assert await client.fetchval("SELECT word FROM asy_kept WHERE id = $1", id) == f"word {id}"
                        if turn % 2:
                            await client.fetchval("SELECT 1 / $1::int", 0)
                except asyncpg.DivisionByZeroError:
                    assert turn % 2

        await asyncio.gather(*[work(i, client) for i, client in enumerate(all)])
        kept = [row[0] for row in await all[1].fetch("SELECT id FROM asy_kept ORDER BY id")]
        assert kept == [100 * i + turn for i in range(3) for turn in range(0, 10, 2)], kept


@check("executemany is all or nothing")
async def _():
    async with clients(2) as (one, two):
        await one.execute("CREATE TABLE asy_many (a int UNIQUE)")
        await one.executemany("INSERT INTO asy_many VALUES ($1)", [(i,) for i in range(5000)])
        await fails(asyncpg.UniqueViolationError, two.executemany("INSERT INTO asy_many VALUES ($1)", [(i,) for i in range(9000, 0, -1)]))
        assert await two.fetchval("SELECT count(*) FROM asy_many") == 5000


@check("cursors")
async def _():
    async with clients(2) as (one, other):
        async with one.transaction():
            expected = 0
            async for row in one.cursor("SELECT i FROM generate_series(1, $1::int) i", 1000, prefetch=100):
                expected += 1
                assert row["i"] == expected
                if expected % 100 == 0:
                    assert await other.fetchval("SELECT 1") == 1
            assert expected == 1000
            cursor = await one.cursor("SELECT i FROM generate_series(1, 1000) i")
            assert await cursor.forward(500) == 500
            assert [row["i"] for row in await cursor.fetch(2)] == [501, 502]


@check("COPY in, out, and refused")
async def _():
    async with clients(3) as (one, two, three):
        await one.execute("CREATE TABLE asy_copied (id int, word text)")
        rows = [(i, f"word {i}") for i in range(20000)]
        assert await one.copy_records_to_table("asy_copied", records=rows) == "COPY 20000"
        assert await two.copy_to_table("asy_copied", source=io.BytesIO(b"20000\tword 20000\n")) == "COPY 1"
        out = io.BytesIO()
        await three.copy_from_query("SELECT * FROM asy_copied WHERE id < $1 ORDER BY id", 15000, output=out)
        assert out.getvalue() == b"".join(b"%d\tword %d\n" % row for row in ((i, i) for i in range(15000)))
        await fails(asyncpg.InvalidTextRepresentationError, two.copy_to_table("asy_copied", source=io.BytesIO(b"1\tone\nno number\tx\n")))

        async def given_up():
            yield b"1\tone\n"
            raise KeyError()

        await fails(KeyError, three.copy_to_table("asy_copied", source=given_up()))
        for client in two, three:
            assert await client.fetchval("SELECT count(*) FROM asy_copied") == 20001


@check("LISTEN and NOTIFY")
async def _():
    async with clients(3) as (listener, sender, other):
        heard, all_heard = [], asyncio.Event()

        def hear(connection, pid, channel, payload):
            heard.append((channel, payload))
            if len(heard) == 10:
                all_heard.set()

        await listener.add_listener("asy_news", hear)
        for i in range(10):
            await sender.execute("SELECT pg_notify('asy_news', $1)", f"number {i}")
            assert await server(sender) == await server(other) != await server(listener)
        await all_heard.wait()
        assert heard == [("asy_news", f"number {i}") for i in range(10)], heard
        await listener.remove_listener("asy_news", hear)


@check("a running query is cancelled, and it alone; time limits of the driver")
async def _():
    past = await connect(direct)
    async with clients(3) as (victim, other, watcher):
        undisturbed = asyncio.create_task(other.fetchval("SELECT 'done' FROM pg_sleep(0.5)"))
        running = asyncio.create_task(victim.execute("SELECT pg_sleep(60) /* asyncpg is to stop it */"))
        while not await past.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%asyncpg is to stop it %' AND pid <> pg_backend_pid()"):
            await asyncio.sleep(0.01)
        running.cancel()
        await fails(asyncio.CancelledError, running)
        assert await undisturbed == "done"
        assert await victim.fetchval("SELECT 8") == await watcher.fetchval("SELECT 8") == 8
        await fails(asyncio.TimeoutError, victim.execute("SELECT pg_sleep(60)", timeout=0.1))
        assert await victim.fetchval("SELECT 9") == 9
    await past.close()


@check("large parameters and rows")
async def _():
    large = b"pooler " * 700_000
    async with clients(2) as all:
        for client in all:
            assert await client.fetchval("SELECT $1::bytea", large) == large
            assert len(await client.fetch("SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")) == 20000


@check("settings of the login and of the session")
async def _():
    options = {"TimeZone": "Asia/Tokyo", "application_name": "asyncpg one", "statement_timeout": "12345", "search_path": "pg_catalog"}
    ask = "SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'), current_setting('search_path'))"
    async with clients(1, server_settings=options) as (one,), clients(2, server_settings={"application_name": "asyncpg two"}) as (two, three):
        for turn in range(4):
            if turn == 2:
                await two.execute("SET TimeZone TO 'America/New_York'")
            async with three.transaction():
                await three.execute("SELECT 1")
                assert await one.fetchval(ask) == "asyncpg one 12345ms pg_catalog"
                assert await two.fetchval(ask) == 'asyncpg two 0 "$user", public'
                assert one.get_settings().TimeZone == await one.fetchval("SHOW TimeZone") == "Asia/Tokyo"
                if turn >= 2:
                    assert two.get_settings().TimeZone == await two.fetchval("SHOW TimeZone") == "America/New_York"


@check("a temporary table stays with its client")
async def _():
    async with clients(2) as (one, two):
        await one.execute("CREATE TEMP TABLE asy_mine AS SELECT 1 AS a")
        await fails(asyncpg.UndefinedTableError, two.fetch("SELECT * FROM asy_mine"))
        assert await one.fetchval("SELECT a FROM asy_mine") == 1


@check("a crowd shares two servers, by the driver's own pool")
async def _():
    servers = set()
    # The pool of the driver ends each use with SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL.
    async with asyncpg.create_pool(**pooled, database=database, ssl=False, min_size=5, max_size=25,
                                   server_settings=JIT_OFF | {"application_name": "asyncpg crowd"}) as pool:
        await pool.execute("CREATE TABLE asy_crowd (id int PRIMARY KEY)")

        async def work(id):
            async with pool.acquire() as client:
                transaction = client.transaction()
                await transaction.start()
                await client.execute("INSERT INTO asy_crowd VALUES ($1)", id)
                servers.add(await server(client))
                assert await client.fetchval("SELECT id FROM asy_crowd WHERE id = $1 AND xmin = pg_current_xact_id()::xid", id) == id
                assert await client.fetchval("SHOW application_name") == "asyncpg crowd"
                await (transaction.rollback() if id % 4 == 0 else transaction.commit())

        await asyncio.gather(*[work(id) for id in range(400)])
        assert await pool.fetchval("SELECT count(*) FROM asy_crowd") == 300
    assert len(servers) == 2, servers


run_all(lambda function: asyncio.run(function()))
