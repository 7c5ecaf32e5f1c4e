'use strict';
// Everything the server says is put in as text: names, statements and log lines are whatever a client chose them to be.
const $ = id => document.getElementById(id);
const kept = 60; // Points of a curve: a minute.
const curves = new Map(); // Name of a curve -> its last points.
let paused = false, last = null, lastLine = 0, seenAt = 0, source = null;

const number = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const count = value => value == null ? '' : number.format(value);
const rate = value => value == null ? '' : value >= 100 ? number.format(Math.round(value)) : short.format(value);

function time(us) {
  if (us == null) return '';
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${short.format(us / 1000)} ms`;
  if (us < 120e6) return `${short.format(us / 1e6)} s`;
  const minutes = Math.floor(us / 60e6);
  return minutes < 120 ? `${minutes} min` : minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}

function bytes(value) {
  if (value == null) return '';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit ? short.format(value) : Math.round(value)} ${units[unit]}`;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function draw(svg, name, value) {
  const points = curves.get(name) ?? [];
  points.push(value ?? 0);
  if (points.length > kept) points.shift();
  curves.set(name, points);
  let line = svg.firstChild;
  if (!line) {
    svg.setAttribute('viewBox', `0 0 ${kept - 1} 20`);
    svg.setAttribute('preserveAspectRatio', 'none');
    line = svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'polyline'));
  }
  const most = Math.max(...points, 1e-9), from = kept - points.length;
  line.setAttribute('points', points.map((p, i) => `${from + i},${(19 - 18 * p / most).toFixed(2)}`).join(' '));
}

// A cell: text, {state, is} for a word in a colour, or {curve, value}.
function fill(cell, value) {
  if (value != null && typeof value === 'object' && 'curve' in value) {
    if (!cell.firstChild) {
      const svg = cell.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'svg'));
      svg.setAttribute('aria-hidden', 'true');
    }
    draw(cell.firstChild, value.curve, value.value);
  } else if (value != null && typeof value === 'object') {
    const word = cell.firstElementChild ?? cell.appendChild(document.createElement('span'));
    word.className = 'state';
    word.dataset.is = value.is;
    put(word, value.state);
  } else {
    put(cell, String(value ?? ''));
  }
}

// Rows keep their elements, so that focus, selection and scrolling stay where they are.
function show(id, listing, keyOf, cellsOf) {
  const section = $(id), table = section.querySelector('table'), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells], known = section.rows ?? (section.rows = new Map()), now = new Map();
  const rows = listing?.rows ?? [];
  section.querySelector('.empty').hidden = rows.length > 0;
  section.querySelector('.scroll').hidden = rows.length === 0;
  put(section.querySelector('.count'), listing == null ? '' : count(rows.length + listing.more) + (listing.more ? `, ${count(rows.length)} shown` : ''));
  rows.forEach((row, at) => {
    const key = keyOf(row);
    let tr = known.get(key);
    if (!tr) {
      tr = document.createElement('tr');
      tr.setAttribute('role', 'row');
      heads.forEach((head, i) => {
        const cell = tr.appendChild(document.createElement(i ? 'td' : 'th'));
        if (i) cell.setAttribute('role', 'cell'); else { cell.scope = 'row'; cell.setAttribute('role', 'rowheader'); }
        cell.className = head.className;
        cell.dataset.label = head.textContent;
      });
    }
    now.set(key, tr);
    cellsOf(row).forEach((value, i) => fill(tr.cells[i], value));
    if (body.rows[at] !== tr) body.insertBefore(tr, body.rows[at] ?? null);
  });
  for (const [key, tr] of known) if (!now.has(key)) tr.remove();
  section.rows = now;
}

// A rate of counters between two snapshots; null when there was none before, or the process is another.
function since(before, now, key, seconds) {
  return before == null || seconds <= 0 || now[key] < before[key] ? null : (now[key] - before[key]) / seconds;
}

function each(before, now, sum, number) {
  return before == null || now[number] <= before[number] || now[sum] < before[sum] ? null : (now[sum] - before[sum]) / (now[number] - before[number]);
}

const index = (listing, keyOf) => new Map((listing?.rows ?? []).map(row => [keyOf(row), row]));
const add = (rows, key) => rows.reduce((sum, row) => sum + row[key], 0);
const keyOf = (...names) => row => JSON.stringify(names.map(name => row[name]));
const good = state => ({ state, is: 'good' }), warn = state => ({ state, is: 'warn' }), bad = state => ({ state, is: 'bad' });

function tile(name, text, note, value) {
  put($(`t-${name}`), text);
  put($(`n-${name}`), note);
  draw($(`t-${name}`).parentElement.querySelector('svg'), `tile ${name}`, value);
}

function render(state) {
  const before = last != null && state.clock > last.clock ? last : null, seconds = before ? (state.clock - before.clock) / 1e6 : 0;
  last = state;
  put($('about'), `${state.version.replace(/^pooler /, '')}, up ${time(state.uptime * 1e6)}`);
  const problems = [...state.problems];
  if (state.phase === 'paused' || state.phase === 'suspended') problems.unshift(`All databases are ${state.phase} (RESUME on the console ends that).`);
  if (state.pins == null) problems.unshift('An I/O thread does not answer.');
  const list = $('problems'), told = problems.join('\n');
  if (list.told !== told) {
    list.told = told;
    list.replaceChildren(...problems.map(text => {
      const item = document.createElement('li');
      item.textContent = text;
      return item;
    }));
    list.hidden = problems.length === 0;
  }

  const pools = state.pools.rows, databases = state.databases.rows;
  const waiting = add(pools, 'waiting'), oldest = Math.max(0, ...pools.map(p => p.longestWait)), active = add(pools, 'serversActive');
  const open = active + add(pools, 'serversIdle') + add(pools, 'serversUsed') + add(pools, 'serversTested') + add(pools, 'serversLogin');
  const sums = s => s && Object.fromEntries(['transactions', 'queries', 'waitTime', 'assignments', 'queryTime'].map(key => [key, add(s.databases.rows, key)]));
  const now = sums(state), then = sums(before);
  const tx = since(then, now, 'transactions', seconds), queries = since(then, now, 'queries', seconds), wait = each(then, now, 'waitTime', 'assignments');
  const query = each(then, now, 'queryTime', 'queries');
  tile('clients', count(state.clients), `at most ${count(state.maxClients)}`, state.clients);
  tile('waiting', count(waiting), waiting ? `for a server, ${time(oldest)}` : 'nobody', waiting);
  tile('servers', count(active), `of ${count(open)} open`, active);
  tile('tx', tx == null ? '–' : rate(tx), `${count(now.transactions)} in all`, tx);
  tile('queries', queries == null ? '–' : rate(queries), query == null ? '' : `${time(query)} each`, queries);
  tile('wait', wait == null ? '–' : time(wait), wait == null ? 'nobody asked' : 'for a server', wait);

  const limit = (value, most) => most > 0 ? `${count(value)} of ${count(most)}` : count(value);
  const database = keyOf('name'), oldDatabases = index(before?.databases, database);
  show('databases', state.databases, database, d => {
    const old = oldDatabases.get(database(d)), perSecond = since(old, d, 'transactions', seconds);
    return [d.name, d.target, limit(d.clients, d.maxClients), limit(d.servers, d.maxServers), rate(perSecond), { curve: `database ${d.name}`, value: perSecond },
      rate(since(old, d, 'queries', seconds)), time(each(old, d, 'queryTime', 'queries')), time(each(old, d, 'waitTime', 'assignments')),
      bytes(since(old, d, 'received', seconds)), bytes(since(old, d, 'sent', seconds)),
      d.isDisabled ? bad('disabled') : d.isPaused ? warn('paused') : good('serving')];
  });

  const pool = keyOf('database', 'user');
  show('pools', state.pools, pool, p => [p.database, p.user, p.mode, count(p.active), count(p.waiting), count(p.serversActive), count(p.serversIdle),
    count(p.serversUsed), count(p.serversTested), count(p.serversLogin)]);
  const queued = pools.filter(p => p.waiting > 0).sort((a, b) => b.longestWait - a.longestWait);
  show('queue', { rows: queued, more: 0 }, pool, p => [p.database, p.user, count(p.waiting), time(p.longestWait)]);

  const host = keyOf('database', 'address'), oldHosts = index(before?.hosts, host);
  show('hosts', state.hosts, host, h => [h.address, h.database, h.role, h.status === 'up' ? good('up') : h.status === 'new' ? warn('not asked yet') : bad(h.status),
    bytes(h.lagBytes), h.lagTime == null ? '' : time(h.lagTime), time(h.probe), h.seenAgo == null ? 'never' : `${time(h.seenAgo)} ago`, count(h.active), count(h.idle), count(h.waiting),
    rate(since(oldHosts.get(host(h)), h, 'leases', seconds)), h.problem]);

  const route = keyOf('database'), oldRoutes = index(before?.routes, route);
  show('routes', state.routes, route, r => {
    const old = oldRoutes.get(route(r)), reads = key => r[key] == null ? '' : rate(since(old, r, key, seconds));
    return [r.database, r.routing, r.primary ?? (r.routing === 'multi_primary' ? 'every primary' : 'nobody known'), count(r.readable), reads('replicaReads'), reads('primaryReads'),
      r.readAfterWrite, r.loadBalance, count(r.failovers), r.successor ? warn(`switching to ${r.successor}`) : r.isServing ? good('serving') : bad('no host')];
  });

  show('pins', state.pins, keyOf('id'), p => [p.client, p.application, p.database, p.user, p.reason, time(p.age)]);

  const statement = keyOf('id', 'database', 'user'), oldStatements = index(before?.statements, statement);
  show('statements', state.statements, statement, s => [s.text, s.database, s.user, count(s.calls), rate(since(oldStatements.get(statement(s)), s, 'calls', seconds)), time(s.totalTime),
    time(s.p50), time(s.p95), time(s.p99), time(s.waitTime), count(s.rows), count(s.errors)]);
  put($('statements').querySelector('.empty'), state.statements == null ? 'Statements are not counted.' : 'No statement yet.');
}

function log(lines) {
  const list = $('lines'), isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const line of lines) {
    if (line.number <= lastLine) continue;
    lastLine = line.number;
    const item = document.createElement('li'), at = document.createElement('time'), level = document.createElement('b');
    item.className = line.level;
    at.dateTime = line.time;
    at.textContent = new Date(line.time).toLocaleTimeString('en-GB');
    level.textContent = line.level;
    item.append(at, ' ', level, ` ${line.text}`);
    list.append(item);
  }
  while (list.children.length > 200) list.firstChild.remove();
  $('log').querySelector('.empty').hidden = list.children.length > 0;
  put($('log').querySelector('.count'), list.children.length ? `the last ${list.children.length} lines` : '');
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function tell(is, text) {
  if ($('link').dataset.is !== is) $('link').dataset.is = is;
  put($('link'), text);
  document.body.classList.toggle('lost', is === 'bad');
}

function lost() {
  tell('bad', last ? `connection lost, figures of ${new Date(last.at).toLocaleTimeString('en-GB')}` : 'no connection, trying again');
}

function connect() {
  source?.close();
  source = new EventSource('/events');
  let isFirst = true;
  source.addEventListener('log', event => {
    if (isFirst) {
      // All there are: the process may be another than before.
      isFirst = false;
      lastLine = 0;
      $('lines').replaceChildren();
    }
    log(JSON.parse(event.data));
  });
  source.addEventListener('state', event => {
    seenAt = performance.now();
    const state = JSON.parse(event.data);
    tell(state.phase === 'serving' ? 'good' : 'warn', state.phase === 'serving' ? 'live' : state.phase);
    render(state);
  });
  source.onerror = () => {
    lost();
    source.close();
    setTimeout(() => paused || connect(), 1000);
  };
}

$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', String(paused));
  put($('pause'), paused ? 'Go on' : 'Pause');
  if (paused) {
    source.close();
    tell('warn', 'paused here');
  } else {
    connect();
  }
});

// A connection that is there but says nothing, as after the machine slept, is none.
setInterval(() => {
  if (!paused && seenAt > 0 && performance.now() - seenAt > 5000) {
    seenAt = performance.now();
    lost();
    connect();
  }
}, 1000);

for (const table of document.querySelectorAll('table')) {
  table.setAttribute('role', 'table');
  for (const part of [table.tHead, table.tBodies[0]]) part.setAttribute('role', 'rowgroup');
  table.tHead.rows[0].setAttribute('role', 'row');
  for (const head of table.tHead.rows[0].cells) head.setAttribute('role', 'columnheader');
}
for (const section of document.querySelectorAll('details .scroll')) section.hidden = true;
connect();
