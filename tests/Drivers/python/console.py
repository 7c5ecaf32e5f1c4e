"""The console by psycopg 3 and asyncpg; what they read by the simple protocol is the oracle for the extended one."""
import asyncio

import asyncpg
import psycopg
from psycopg import errors

from checks import check, pooled, run_all

TABLES = [("LISTS", 14), ("CONFIG", 100), ("POOLS", 1), ("STATS", 1), ("TOTALS", 24), ("CLIENTS", 1), ("DATABASES", 2), ("VERSION", 1)]


def connect(**options):
    return psycopg.connect(**pooled, dbname="pgbouncer", autocommit=True, **options)


@check("psycopg: text and binary, prepared and not, agree")
def _():
    with connect(application_name="psycopg") as client:
        for table, least in TABLES:
            simple = client.execute(f"SHOW {table}")
            columns, rows = [c.name for c in simple.description], simple.fetchall()
            assert len(rows) >= least, (table, rows)
            for binary in False, True:
                for prepare in False, True, True:
                    cursor = client.cursor(binary=binary)
                    cursor.execute(f"SHOW {table}", prepare=prepare)
                    assert [c.name for c in cursor.description] == columns
                    seen = cursor.fetchall()
                    assert [[type(v) for v in row] for row in seen] == [[type(v) for v in row] for row in rows], (table, seen)
                    assert [row[0] for row in seen] == [row[0] for row in rows]


@check("psycopg: a pipeline, with an error in it")
def _():
    with connect() as client:
        with client.pipeline() as pipeline:
            first = client.execute("SHOW STATE")
            pipeline.sync()
            try:
                client.execute("SHOW nonsense")
                client.execute("SHOW STATE")
                pipeline.sync()
                raise AssertionError("no error came")
            except errors.ProtocolViolation as error:
                assert "invalid command 'SHOW nonsense'" in str(error)
            try:
                pipeline.sync()  # The error may have come before the last one was sent.
            except errors.PipelineAborted:
                pass
            last = client.execute("SHOW STATE")
            pipeline.sync()
            assert len(first.fetchall()) == len(last.fetchall()) == 3


@check("psycopg: commands, and an error that is gone afterwards")
def _():
    with connect() as client:
        assert client.execute("PAUSE app", prepare=True).statusmessage == "PAUSE"
        assert client.execute("RESUME app", prepare=True).statusmessage == "RESUME"
        for prepare in False, True:
            try:
                client.execute("PAUSE nosuch", prepare=prepare)
                raise AssertionError("no error came")
            except errors.ProtocolViolation as error:
                assert "no such database: nosuch" in str(error)
        assert client.execute("SHOW STATE").fetchone() == ("active", "yes")


@check("asyncpg: its statements are prepared, described and binary")
def _():
    async def run():
        client = await asyncpg.connect(**pooled, database="pgbouncer")
        for table, least in TABLES:
            for _ in range(3):
                rows = await client.fetch(f"SHOW {table}")
                assert len(rows) >= least, (table, rows)
        lists = {row["list"]: row["items"] for row in await client.fetch("SHOW LISTS")}
        assert lists["used_clients"] >= 1 and all(isinstance(items, int) for items in lists.values())
        statement = await client.prepare("SHOW POOLS")
        assert [a.type.name for a in statement.get_attributes()][:3] == ["text", "text", "int4"]
        try:
            await client.fetch("SHOW nonsense")
            raise AssertionError("no error came")
        except asyncpg.PostgresError as error:
            assert "invalid command 'SHOW nonsense'" in str(error)
        assert (await client.execute("RELOAD")) == "RELOAD"
        await client.close()
    asyncio.run(run())


run_all(lambda function: function())
