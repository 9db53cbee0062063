// What is written for speedscope, opened in speedscope's own release in Chromium, as a person chooses a file in it.
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { speedscope } from '../../src/profile/speedscope.ts';
import type { Profile } from '../../src/profile/profile.ts';
import { CPU_HEAD, HEAP_HEAD, profileOf, textOf } from '../fixtures/profile/stacks.ts';
import { startBrowser } from '../helpers/browser.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const require = createRequire(import.meta.url);
const RELEASE = path.dirname(require.resolve('speedscope/dist/release/index.html'));
const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

let server: Server;
let browser: Browser | undefined;
let page: Page;
let problems: string[];

beforeAll(async () => {
  // By a server, as its release does not run from a file: it loads parts of itself.
  server = createServer((req, res) => {
    const file = path.join(RELEASE, path.basename(req.url === '/' ? 'index.html' : req.url!));
    res.setHeader('content-type', TYPES[path.extname(file)] ?? 'application/octet-stream').end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  await browser?.close();
  server.close();
});

beforeEach(async (context) => {
  requirePeer(context, 'chromium');
  browser ??= await startBrowser();
  page = await browser.newPage();
  problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('dialog', (dialog) => {
    problems.push(dialog.message());
    void dialog.dismiss();
  });
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});

/** Opens a profile and goes to the table of functions, the one view that is text. */
async function open(profile: Profile): Promise<void> {
  const buffer = Buffer.from(await textOf(speedscope(profile)));
  await page.locator('input[type=file]').setInputFiles({ name: 'profile.speedscope.json', mimeType: 'application/json', buffer });
  await page.getByText('Sandwich').click();
}

/** Rows of the table by function: total and own. */
async function functions(): Promise<Record<string, string>> {
  const rows = page.locator('tr', { hasText: '%' });
  await rows.first().waitFor();
  return Object.fromEntries(
    (await rows.allInnerTexts()).map((row) => {
      const [total, own, name] = row.split('\t').map((cell) => cell.trim());
      return [name, `${total}, ${own}`];
    }),
  );
}

test('shows the functions of the default sample type with their time, own and in all', async () => {
  await open(
    profileOf(CPU_HEAD, [
      [['main /srv/app.js:1:7', 'handleOrder /srv/orders.js:30:5'], [3, 3_000_000_000], { 'http.route': '/a' }],
      [['main /srv/app.js:1:7', 'handleOrder /srv/orders.js:30:5'], [3, 3_000_000_000], { 'http.route': '/b' }],
      [['main /srv/app.js:1:7'], [2, 1_500_000_000]],
      [['(garbage collector)'], [1, 500_000_000]],
    ]),
  );
  expect(await functions()).toEqual({
    handleOrder: '6.00s (75%), 6.00s (75%)',
    main: '7.50s (94%), 1.50s (19%)',
    '(garbage collector)': '500.00ms (6.3%), 500.00ms (6.3%)',
  });
  expect(await page.getByTitle('/srv/orders.js').innerText()).toBe('handleOrder');
  expect(await page.title()).toContain('cpu');
  expect(problems).toEqual([]);
});

test('opens a difference, whose losses are a profile of their own', async () => {
  await open(
    profileOf(HEAP_HEAD, [
      [['keepRows /srv/app.js:1:7'], [3, 4 * 2 ** 20]],
      [['dropRows /srv/app.js:9:7'], [-3, -2 * 2 ** 20]],
    ]),
  );
  expect(Object.keys(await functions())).toEqual(['keepRows']);
  expect(await page.title()).toContain('inuse_space');
  await page.getByText('inuse_space (3/4)').click();
  await page.getByText('inuse_space (less)').click();
  await page.getByText('dropRows').waitFor();
  expect(Object.keys(await functions())).toEqual(['dropRows']);
  expect(problems).toEqual([]);
});
