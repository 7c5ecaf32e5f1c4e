// The live page in Chromium: node page.js URL FOLDER-FOR-SCREENSHOTS HOSTILE-TEXT
// Prints one line a check, "ok NAME" or "not ok NAME: WHY"; says "end it" when the process is to end, "start it" when it is to come back.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [url, folder, hostile] = process.argv.slice(2);
const patience = 60_000; // A busy machine is no defect.
const sections = ['databases', 'pools', 'queue', 'pins', 'hosts', 'routes', 'statements', 'log'];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
let failed = 0;

async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (fault) {
    failed++;
    console.log(`not ok ${name}: ${String(fault.stack ?? fault).replaceAll('\n', ' | ')}`);
  }
}

// A page, and what went wrong on it.
async function open(width, height, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce', deviceScaleFactor: width < 500 ? 2 : 1 });
  const page = await context.newPage(), faults = [];
  page.setDefaultTimeout(patience);
  page.on('console', message => ['error', 'warning'].includes(message.type()) && faults.push(message.text()));
  page.on('pageerror', error => faults.push(String(error)));
  page.on('requestfailed', request => faults.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('request', request => new URL(request.url()).origin === new URL(url).origin || request.url().startsWith('data:') || faults.push(`asks for ${request.url()}`));
  page.on('response', response => response.status() >= 400 && faults.push(`${response.url()}: ${response.status()}`));
  const answer = await page.goto(url);
  assert.equal(answer.status(), 200);
  await page.waitForFunction(() => document.getElementById('link').textContent === 'live');
  return { page, faults };
}

const text = (page, selector) => page.locator(selector).innerText();
const says = (page, selector, what) => page.locator(selector).filter({ hasText: what }).first().waitFor();

// Texts whose colour is too near to that behind them (WCAG AA: 4.5 to 1).
const faint = page => page.evaluate(() => {
  const channels = colour => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const back = channels(getComputedStyle(element).backgroundColor);
      if (back.length === 3 || back[3] > 0) return back;
    }
    throw new Error('nothing is behind it');
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.matches('script, style')) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add(`${element.tagName} ${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...found];
});

const { page, faults } = await open(1400, 1000, 'light');

await check('numbers come and change', async () => {
  await page.waitForFunction(() => Number(document.getElementById('t-tx').textContent.replaceAll(',', '')) > 0);
  const before = await text(page, '#n-tx');
  await page.waitForFunction(old => document.getElementById('n-tx').textContent !== old, before);
  await page.waitForFunction(() => (document.querySelector('#t-tx ~ svg polyline')?.getAttribute('points') ?? '').split(' ').length >= 3);
});

await check('databases, pools, queue, hosts, routes, pins and log are there', async () => {
  await says(page, '#databases tbody tr', 'small');
  await says(page, '#pools tbody tr', 'split');
  await says(page, '#queue tbody tr', 'small');
  await says(page, '#hosts tbody tr', 'primary');
  await says(page, '#hosts tbody tr', 'replica');
  await says(page, '#routes tbody tr', 'read_write_split');
  await says(page, '#pins tbody tr', 'LISTEN');
  await says(page, '#lines li', 'process up');
  assert.match(await text(page, '#t-waiting'), /^[1-9]/);
});

await check('what clients have chosen stays text', async () => {
  for (const place of ['#databases tbody th', '#pools tbody th', '#pins tbody td', '#lines li']) await says(page, place, hostile);
  assert.deepEqual(await page.evaluate(() => [document.images.length, document.scripts.length, typeof window.broken]), [0, 1, 'undefined']);
});

await check('nothing jumps', async () => {
  const seen = await text(page, '#n-tx');
  await page.evaluate(() => {
    window.shifts = [];
    new PerformanceObserver(list => window.shifts.push(...list.getEntries().map(e => e.value))).observe({ type: 'layout-shift' });
  });
  for (let i = 0, old = seen; i < 3; i++) {
    await page.waitForFunction(o => document.getElementById('n-tx').textContent !== o, old);
    old = await text(page, '#n-tx');
  }
  const sum = (await page.evaluate(() => window.shifts)).reduce((a, b) => a + b, 0);
  assert.ok(sum < 0.05, `layout shift of ${sum}`);
});

await check('the keyboard reaches every section, and its focus is seen', async () => {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('Tab');
  assert.equal(await text(page, ':focus'), 'Skip to the figures');
  assert.ok((await page.locator(':focus').boundingBox()).x >= 0);
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  const reached = [];
  for (let i = 0; i < 40 && reached.length < sections.length; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      return { tag: element.tagName, section: element.parentElement?.id, outline: getComputedStyle(element).outlineStyle };
    });
    assert.equal(at.outline, 'solid', `${at.tag} in ${at.section}`);
    if (at.tag !== 'SUMMARY') continue;
    reached.push(at.section);
    await page.keyboard.press('Enter');
    assert.equal(await page.locator(`#${at.section}`).evaluate(e => e.open), false);
    await page.keyboard.press('Space');
    assert.equal(await page.locator(`#${at.section}`).evaluate(e => e.open), true);
  }
  assert.deepEqual(reached, sections);
});

await check('tables have captions, and heads that say of what they are', async () => {
  const tables = await page.locator('table').evaluateAll(all => all.map(t => [!!t.caption?.textContent, [...t.tHead.rows[0].cells].every(c => c.scope === 'col'), [...t.tBodies[0].rows].every(r => r.cells[0].scope === 'row')]));
  assert.ok(tables.length >= 7 && tables.flat().every(Boolean), JSON.stringify(tables));
});

await check('it can be made to stand still', async () => {
  await page.locator('#pause').press('Enter');
  assert.equal(await text(page, '#link'), 'paused here');
  const before = await text(page, '#n-tx');
  await page.waitForTimeout(2500);
  assert.equal(await text(page, '#n-tx'), before);
  await page.locator('#pause').press('Enter');
  await page.waitForFunction(old => document.getElementById('n-tx').textContent !== old, before);
});

await check('light and dark, wide and narrow', async () => {
  for (const [name, width, height, scheme] of [['desktop-light', 1400, 1000, 'light'], ['desktop-dark', 1400, 1000, 'dark'], ['phone-light', 360, 780, 'light'], ['phone-dark', 360, 780, 'dark']]) {
    const seen = await open(width, height, scheme);
    await says(seen.page, '#pins tbody tr', 'LISTEN');
    await seen.page.waitForFunction(() => Number(document.getElementById('t-tx').textContent.replaceAll(',', '')) > 0);
    await seen.page.waitForTimeout(3000); // For a curve on the picture.
    await seen.page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    assert.deepEqual(await faint(seen.page), [], name);
    const wide = await seen.page.evaluate(() => [document.documentElement.scrollWidth, ...[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.parentElement.id)]);
    assert.deepEqual(wide, [width], `${name}: wider than the window, and what has to be scrolled sideways`);
    assert.deepEqual(seen.faults, [], name);
    await seen.page.context().close();
  }
});

// To stand still is to close the stream.
await check('no fault on the page, nothing asked for elsewhere', async () => assert.deepEqual(faults.filter(f => !f.endsWith('/events: net::ERR_ABORTED')), []));

console.log('end it');
await check('a lost connection is told', async () => {
  await says(page, '#link', 'connection lost');
  await page.screenshot({ path: `${folder}/lost.png` });
});
console.log('start it');
await check('and found again', async () => {
  await page.waitForFunction(() => document.getElementById('link').textContent === 'live');
  await says(page, '#lines li', 'process up');
});

await browser.close();
console.log(failed ? `${failed} failed` : 'all is well');
process.exit(failed ? 1 : 0);
