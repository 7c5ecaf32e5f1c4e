// node-postgres: simple queries, unnamed and named statements, pg-cursor, pg-copy-streams.
import pg from 'pg';
import Cursor from 'pg-cursor';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { assert, check, direct, eventually, failure, pooled, range, runAll } from './checks.js';

async function withClients(count, options, run) {
  const clients = range(count).map(() => new pg.Client({ ...pooled, ...options }));
  try {
    await Promise.all(clients.map(client => client.connect()));
    return await run(...clients);
  } finally {
    await Promise.all(clients.map(client => client.end()));
  }
}
const scalar = async (client, ...query) => Object.values((await client.query(...query)).rows[0])[0];
const server = client => scalar(client, 'SELECT pg_backend_pid()');

const values = [
  ['SELECT $1::int4, $2::int8, $3::numeric, $4::float8, $5::bool', [1, '9007199254740993', '1.50', 0.1, true]],
  ['SELECT $1::text, $2::varchar(3), $3::bytea, $4::uuid', ['ä\t€😀', 'abc', Buffer.from([0, 255, 10]), '6b0a4c1e-0000-4000-8000-000000000001']],
  ['SELECT $1::json, $2::jsonb, $3::json', [{ a: [1, null, 'x'] }, { b: { c: true } }, null]],
  ['SELECT $1::int[], $2::text[], $3::timestamptz[]', [[1, 2, null], ['a', 'b"c', '{}'], ['2026-01-02 03:04:05+00']]],
  ['SELECT $1::timestamptz, $2::timestamp, $3::date, $4::interval', [new Date(1e12), '2026-01-02 03:04:05.678', '2026-02-03', '1 day 2 hours']],
  ['SELECT $1::timestamptz::text, now()::timestamptz(0) > $1', [new Date(1e12)]],
  ["SELECT point '(1,2)', int4range '[1,5)', inet '10.0.0.1/8', 'NaN'::float8, '{}'::int[]", []],
];
for (const options of [{}, { options: '-c TimeZone=Asia/Tokyo -c DateStyle=German' }]) {
  check(`values are as directly ${options.options ?? ''}`.trimEnd(), () => withClients(3, options, async (...clients) => {
    const oracle = new pg.Client({ ...direct, ...options });
    await oracle.connect();
    for (const [i, [text, parameters]] of values.entries()) {
      const expected = await oracle.query(text, parameters);
      for (const client of clients) {
        for (const query of [{ text }, { text, name: `values ${i}` }, { text, name: `values ${i}` }]) {
          const seen = await client.query({ ...query, values: parameters });
          assert.deepEqual(seen.rows, expected.rows);
          assert.deepEqual(seen.fields, expected.fields);
        }
      }
    }

    await oracle.end();
  }));
}

check('a name means each client its own statement', () => withClients(4, {}, async (...clients) => {
  const servers = new Set();
  for (const round of range(25)) {
    await Promise.all(clients.map(async (client, i) => {
      const text = `SELECT $1::int + ${1000 * i} AS sum, pg_backend_pid() AS pid`;
      const { rows: [row] } = await client.query({ name: 'mine', text, values: [round] });
      assert.equal(row.sum, 1000 * i + round);
      servers.add(row.pid);
    }));
  }

  assert.equal(servers.size, 2);
}));

check('named statements live through transactions, errors and rollbacks', () => withClients(3, {}, async (...clients) => {
  await clients[0].query('CREATE TABLE pg_kept (id int PRIMARY KEY, word text)');
  const insert = (client, id) => client.query({ name: 'insert', text: 'INSERT INTO pg_kept VALUES ($1, $2)', values: [id, `word ${id}`] });
  await Promise.all(clients.map(async (client, i) => {
    for (const round of range(10)) {
      const id = 100 * i + round;
      await client.query('BEGIN');
      await insert(client, id);
      if (round % 2 === 0) {
        await client.query('SAVEPOINT here');
        assert.equal((await failure(insert(client, id))).code, '23505');
        assert.equal((await failure(insert(client, id + 50))).code, '25P02');
        await client.query('ROLLBACK TO here');
        await client.query('COMMIT');
      } else {
        assert.equal((await failure(client.query('SELECT 1/0'))).code, '22012');
        await client.query('ROLLBACK');
      }
    }
  }));
  assert.deepEqual((await clients[1].query('SELECT id FROM pg_kept ORDER BY id')).rows.map(row => row.id),
    [0, 1, 2].flatMap(i => [0, 2, 4, 6, 8].map(round => 100 * i + round)));
}));

check('queries behind one another, errors among them', () => withClients(3, { pipeline: true }, async (...clients) => {
  await Promise.all(clients.map(async client => {
    const answers = await Promise.allSettled(range(100).map(i =>
      client.query({ name: i % 3 ? 'part' : undefined, text: 'SELECT 100 / $1::int AS part', values: [i % 20] })));
    answers.forEach((answer, i) => {
      if (i % 20 === 0) assert.equal(answer.reason?.code, '22012');
      else assert.equal(answer.value.rows[0].part, Math.trunc(100 / (i % 20)));
    });
  }));
}));

check('several statements in one string', () => withClients(1, {}, async one => {
  const results = await one.query("SELECT 1 AS a; SELECT 'two' AS b; SELECT generate_series(1, 3) AS c");
  assert.deepEqual(results.map(result => result.rows), [[{ a: 1 }], [{ b: 'two' }], [{ c: 1 }, { c: 2 }, { c: 3 }]]);
  assert.equal((await failure(one.query('SELECT 1; SELECT 1/0; SELECT 2'))).code, '22012');
  assert.equal(await scalar(one, 'SELECT 3'), 3);
}));

check('a cursor of the protocol, within a transaction and without', () => withClients(3, {}, async (one, two, other) => {
  await one.query('BEGIN');
  const cursors = [one, two].map(client => client.query(new Cursor('SELECT i FROM generate_series(1, $1::int) i', [1000])));
  for (const [client, cursor] of [[one, cursors[0]], [two, cursors[1]]]) {
    let seen = 0;
    for (let rows; (rows = await cursor.read(100)).length > 0;) {
      for (const row of rows) assert.equal(row.i, ++seen);
      if (client === two) assert.equal(await scalar(other, 'SELECT 5'), 5);
    }

    assert.equal(seen, 1000);
    await cursor.close();
    if (client === one) await one.query('COMMIT');
  }

  const given = two.query(new Cursor('SELECT generate_series(1, 1000000)'));
  assert.equal((await given.read(10)).length, 10);
  await given.close();
  assert.equal(await scalar(two, 'SELECT 6'), 6);
}));

check('COPY in, out and given up', () => withClients(3, {}, async (one, two, three) => {
  await one.query('CREATE TABLE pg_copied (id int, word text)');
  const line = i => `${i}\tword ${i}\n`;
  const lines = function* (count) { for (let i = 0; i < count; i++) yield line(i); };
  await Promise.all([one, two].map(client =>
    pipeline(Readable.from(lines(20_000)), client.query(copyFrom('COPY pg_copied FROM STDIN')))));
  const out = three.query(copyTo('COPY (SELECT DISTINCT * FROM pg_copied ORDER BY id) TO STDOUT'));
  const parts = [];
  for await (const part of out) parts.push(part);
  assert.equal(Buffer.concat(parts).toString(), [...lines(20_000)].join(''));
  const broken = pipeline(Readable.from([line(1), 'no number\tx\n']), two.query(copyFrom('COPY pg_copied FROM STDIN')));
  assert.equal((await failure(broken)).code, '22P02');
  assert.equal(await scalar(two, 'SELECT count(*)::int FROM pg_copied'), 40_000);
}));

check('LISTEN and NOTIFY', () => withClients(3, {}, async (listener, sender, other) => {
  const heard = [];
  listener.on('notification', message => heard.push([message.channel, message.payload]));
  await listener.query('LISTEN news');
  for (const i of range(10)) {
    await sender.query("SELECT pg_notify('news', $1)", [`number ${i}`]);
    assert.equal(await scalar(other, 'SELECT 7'), 7);
  }

  await eventually(() => heard.length >= 10);
  assert.deepEqual(heard, range(10).map(i => ['news', `number ${i}`]));
  assert.equal(await server(sender), await server(other));
  await listener.query('UNLISTEN *');
}));

check('a running query is cancelled, and it alone', () => withClients(3, {}, async (victim, other, watcher) => {
  const undisturbed = scalar(other, "SELECT 'done' FROM pg_sleep(0.5)");
  const query = new pg.Query('SELECT pg_sleep(60) /* node-postgres is to stop it */');
  const stopped = new Promise((resolve, reject) => { query.on('error', resolve); query.on('end', reject); });
  victim.query(query);
  const past = new pg.Client(direct);
  await past.connect();
  await eventually(() => scalar(past, "SELECT bool_or(state = 'active' AND query LIKE '%postgres is to stop it %') FROM pg_stat_activity WHERE pid <> pg_backend_pid()"));
  await past.end();
  new pg.Client(pooled).cancel(victim, query);
  assert.equal((await stopped).code, '57014');
  assert.equal(await undisturbed, 'done');
  assert.equal(await scalar(victim, 'SELECT 8'), 8);
  assert.equal(await scalar(watcher, 'SELECT 9'), 9);
}));

check('large parameters and rows', () => withClients(2, {}, async (one, two) => {
  const large = Buffer.alloc(5_000_000, 'pooler ');
  for (const client of [one, two]) {
    assert.ok(large.equals(await scalar(client, { name: 'large', text: 'SELECT $1::bytea', values: [large] })));
    assert.equal((await scalar(client, 'SELECT $1::text', [large.toString()])).length, large.length);
    assert.equal((await client.query("SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")).rows.length, 20_000);
  }
}));

check('settings of the login and of the session', () => withClients(2, { options: '-c TimeZone=Asia/Tokyo', application_name: 'node one', statement_timeout: 12345 }, one =>
  withClients(2, { application_name: 'node two' }, async (two, three) => {
    for (const round of range(4)) {
      if (round === 2) await two.query("SET TimeZone TO 'America/New_York'");
      await three.query('BEGIN');
      assert.equal(await scalar(one, "SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('application_name'), current_setting('statement_timeout'))"), 'Asia/Tokyo node one 12345ms');
      assert.equal(await scalar(two, "SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'))"), 'node two 0');
      if (round >= 2) assert.equal(await scalar(two, 'SHOW TimeZone'), 'America/New_York');
      await three.query('COMMIT');
    }
  })));

check('a temporary table stays with its client', () => withClients(2, {}, async (one, two) => {
  await one.query('CREATE TEMP TABLE pg_mine AS SELECT 1 AS a');
  assert.equal((await failure(two.query('SELECT * FROM pg_mine'))).code, '42P01');
  assert.equal(await scalar(one, 'SELECT a FROM pg_mine'), 1);
}));

check('a crowd shares two servers', async () => {
  const pool = new pg.Pool({ ...pooled, max: 25 });
  const servers = new Set();
  await pool.query('CREATE TABLE pg_crowd (id int PRIMARY KEY)');
  await Promise.all(range(400).map(async id => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query({ name: 'crowd', text: 'INSERT INTO pg_crowd VALUES ($1)', values: [id] });
      servers.add(await server(client));
      assert.equal(await scalar(client, { name: 'own', text: 'SELECT id FROM pg_crowd WHERE id = $1 AND xmin = pg_current_xact_id()::xid', values: [id] }), id);
      await client.query(id % 4 === 0 ? 'ROLLBACK' : 'COMMIT');
    } finally {
      client.release();
    }
  }));
  assert.equal(await scalar(pool, 'SELECT count(*)::int FROM pg_crowd'), 300);
  assert.equal(servers.size, 2);
  await pool.end();
});

await runAll();
