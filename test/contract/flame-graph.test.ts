// Flame graphs in Chromium: as they are served, under their Content-Security-Policy, and saved to disk.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Guard } from '../../src/core/guard.ts';
import type { Profile } from '../../src/profile/profile.ts';
import { AdminServer } from '../../src/serve/admin.ts';
import type { ProfileReads } from '../../src/serve/pprof.ts';
import { CPU_HEAD, HEAP_HEAD, profileOf, type WrittenSample } from '../fixtures/profile/stacks.ts';
import { startBrowser } from '../helpers/browser.ts';
import { requirePeer } from '../helpers/require-peer.ts';
import { endpointsOf, Said } from '../unit/serve/fixture.ts';

const MARKUP = '</title><script>globalThis.isTaken = 1</script>&amp;<b>';
const LONG = `aVeryLongNameOfAFunctionThatNobodyWouldWrite${'X'.repeat(200)}`;

/** main 60 % (work 40 % of which parse 10 %, draw 20 % of which parse 10 %), other 39 %, narrow ones 1 %. */
const CPU = profileOf(CPU_HEAD, [
  [
    ['main /srv/app.js:1:1', 'work /srv/app.js:10:1'],
    [1, 300_000_000],
  ],
  [
    ['main /srv/app.js:1:1', 'work /srv/app.js:10:1', 'parse /srv/node_modules/qs/lib/parse.js:5:1'],
    [1, 100_000_000],
  ],
  [
    ['main /srv/app.js:1:1', 'draw /srv/draw.js:20:1', 'parse /srv/node_modules/qs/lib/parse.js:5:1'],
    [1, 100_000_000],
  ],
  [
    ['main /srv/app.js:1:1', 'draw /srv/draw.js:20:1'],
    [1, 100_000_000],
  ],
  [[`${LONG} node:internal/timers:3:1`], [1, 390_000_000]],
  [[MARKUP], [1, 5_000_000]],
  [['(garbage collector)'], [1, 5_000_000]],
]);

let directory: string;
let served: Profile;
let admin: AdminServer;
let url: string;
let browser: Browser | undefined;
let page: Page;
let problems: string[];

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-flame-graph-'));
  const { diag } = new Said();
  const guard = new Guard(diag);
  const read = async (): Promise<Profile> => served;
  const reads: ProfileReads = {
    cpu: read,
    wall: read,
    heap: read,
    allocs: read,
    stats: () => ({ cpu: '', heap: '', historySeconds: 900 }),
  };
  admin = new AdminServer(endpointsOf({ guard, profiles: reads }), { host: '127.0.0.1', port: 0, portIsExplicit: true }, { guard, diag });
  url = `${(await admin.listen())?.url}/debug/pprof/profile?last=60&format=svg`;
});

afterAll(async () => {
  await browser?.close();
  admin.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async (context) => {
  requirePeer(context, 'chromium');
  browser ??= await startBrowser();
  served = CPU;
});

async function open(address: string, colorScheme: 'light' | 'dark' = 'light'): Promise<void> {
  page = await browser!.newPage({ viewport: { width: 1200, height: 800 }, colorScheme });
  problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => problems.push(message.text()));
  await page.goto(address);
}

/** The frame of a function by the first line of its tooltip. */
function frame(name: string): Locator {
  return page.locator('.frame', { has: page.locator('title', { hasText: name }) }).first();
}

/** Left edge and width of a frame in percent of the window. */
async function place(name: string): Promise<[left: number, width: number]> {
  const box = (await frame(name).locator('rect').boundingBox())!;
  // A whisker more on either side is its stroke.
  return [Math.abs(Math.round(box.x / 12)), Math.round(box.width / 12)];
}

async function press(name: string): Promise<void> {
  await frame(name).locator('rect').click();
}

async function visible(): Promise<string[]> {
  const titles = await page.locator('.frame:not([hidden]) > title').allTextContents();
  return titles.map((title) => title.split('\n')[0]!);
}

/** What every graph must be able to do, served or saved. */
async function expectToWork(): Promise<void> {
  expect(await place('work')).toEqual([0, 40]);
  expect(await place('draw')).toEqual([40, 20]);

  await press('draw');
  expect(await place('main')).toEqual([0, 100]);
  expect(await place('draw')).toEqual([0, 100]);
  expect(await visible()).toEqual(['all', 'main', 'draw', 'parse']);
  await page.getByRole('button', { name: 'Reset zoom' }).click();
  expect(await place('work')).toEqual([0, 40]);
  expect(await page.locator('#reset').isVisible()).toBe(false);

  await page.keyboard.press('Control+f');
  await page.keyboard.type('PARSE.js');
  const highlighted = await page.locator('.frame.match > title').allTextContents();
  expect(highlighted.map((title) => title.split('\n')[0])).toEqual(['parse', 'parse']);
  expect(await page.locator('#matched').textContent()).toBe('Matched: 20.0 %');
}

describe('a flame graph as it is served', () => {
  test('zooms by a click, searches by Ctrl-F, and nothing of it is refused by its policy', async () => {
    await open(url);
    await expectToWork();
    expect(problems).toEqual([]);
  });

  test('counts a match within a match once, and what one searches for anew alone', async () => {
    await open(url);
    await page.keyboard.press('Control+f');
    await page.keyboard.type('srv/');
    expect(await page.locator('#matched').textContent()).toBe('Matched: 60.0 %');
    await page.keyboard.press('Control+a');
    await page.keyboard.type('no such function');
    expect(await page.locator('#matched').textContent()).toBe('Matched: 0.0 %');
    await page.keyboard.press('Escape');
    expect(await page.locator('#matched').textContent()).toBe('');
    expect(await page.locator('.frame.match').count()).toBe(0);
  });

  test('goes back to the whole by a click on the top, and by Escape', async () => {
    await open(url);
    for (const back of [() => press('all'), () => page.keyboard.press('Escape')]) {
      await press('work');
      expect(await visible()).toEqual(['all', 'main', 'work', 'parse']);
      await back();
      expect(await visible()).toHaveLength(9);
    }
  });

  test('shortens names to what their frames have room for, and shows them whole when there is', async () => {
    await open(url);
    const shown = async (): Promise<string> => (await frame('aVeryLong').locator('text').textContent())!;
    expect(await shown()).toMatch(/^aVeryLongNameOfAFunctionThatNobodyWouldWriteX+\u2026$/);
    const text = (await frame('aVeryLong').locator('text').boundingBox())!;
    const rect = (await frame('aVeryLong').locator('rect').boundingBox())!;
    expect(text.x + text.width).toBeLessThanOrEqual(rect.x + rect.width);
    await page.setViewportSize({ width: 6000, height: 800 });
    await expect.poll(shown).toBe(`${LONG} node:internal/timers:3`);
    expect(await frame('(garbage').locator('text').textContent()).toBe('(g\u2026');
  });

  test('tells of the frame under the pointer what its tooltip says', async () => {
    await open(url);
    await frame('draw').locator('rect').hover();
    expect(await page.locator('#details').textContent()).toBe('draw \u00b7 /srv/draw.js:20:1 \u00b7 200 ms, 20.0 %');
    await frame('(garbage').locator('rect').hover();
    expect(await page.locator('#details').textContent()).toBe('(garbage collector) \u00b7 5.00 ms, 0.50 %');
  });

  test('runs no script but its own: neither one in a name nor one that is put in', async () => {
    await open(url);
    expect(await frame('isTaken').locator('title').textContent()).toBe(`${MARKUP}\n\n5.00 ms, 0.50 %`);
    expect(await page.locator('b').count()).toBe(0);
    await page.evaluate(`{
      const script = document.createElementNS('http://www.w3.org/2000/svg', 'script');
      script.textContent = 'globalThis.isTaken = 2';
      document.documentElement.append(script);
    }`);
    expect(await page.evaluate('globalThis.isTaken')).toBeUndefined();
    expect(problems.join('\n')).toMatch(/Content Security Policy/);
  });

  test('is complete without any script', async () => {
    const context = await browser!.newContext({ viewport: { width: 1200, height: 800 }, javaScriptEnabled: false });
    page = await context.newPage();
    await page.goto(url);
    expect(await place('draw')).toEqual([40, 20]);
    expect(await page.locator('#search').isVisible()).toBe(false);
    await context.close();
  });
});

test('a flame graph works when it is saved to disk', async () => {
  const file = path.join(directory, 'profile.svg');
  writeFileSync(file, await (await fetch(url)).text());
  await open(`file://${file}`);
  await expectToWork();
  expect(problems).toEqual([]);
});

describe.each(['light', 'dark'] as const)('in a %s window', (scheme) => {
  /** Contrast of the texts to what is behind them, by the definition of WCAG; the least of all frames. */
  const CONTRAST = `(() => {
    const rgb = (color) => {
      const context = Object.assign(document.createElementNS('http://www.w3.org/1999/xhtml', 'canvas')).getContext('2d');
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = (color) => {
      const [r, g, b] = rgb(color).map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const fill = (element) => getComputedStyle(element).fill;
    return Math.min(...Array.from(document.querySelectorAll('.frame'), (frame) => {
      const [a, b] = [luminance(fill(frame.querySelector('rect'))), luminance(fill(frame.querySelector('text')))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }));
  })()`;

  test('all names can be read on all colours', async () => {
    const places = Array.from({ length: 40 }, (_, i) => [
      `f /srv/${i}.js:1`,
      `f /srv/node_modules/p${i}/a.js:1`,
      `f node:m${i}:1`,
      `(pseudo ${i})`,
    ]);
    served = profileOf(
      CPU_HEAD,
      places.flat().map((written) => [[written], [1, 10]]),
    );
    await open(url, scheme);
    const colours = await page.locator('.frame rect').evaluateAll((rects) => rects.map((rect) => rect.getAttribute('class')));
    expect(new Set(colours).size).toBe(20);
    expect(await page.evaluate(CONTRAST)).toBeGreaterThan(4.5);
    const background = await page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    expect(background).toBe(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 23, 27)');
  });

  test('a difference is red where there is more and blue where there is less, and can be read', async () => {
    // From what has only grown to what has almost not, and the same for less: all steps of both colours.
    const samples = [1, 2, 3, 4, 5].flatMap((part): WrittenSample[] => [
      [
        [`up${part}`, 'a'],
        [1, part * 100],
      ],
      [
        [`up${part}`, 'b'],
        [-1, (part - 5) * 50],
      ],
      [
        [`down${part}`, 'a'],
        [-1, part * -100],
      ],
      [
        [`down${part}`, 'b'],
        [1, (5 - part) * 50],
      ],
    ]);
    served = profileOf({ ...HEAP_HEAD, durationMillis: 1000 }, samples);
    await open(url, scheme);
    expect(await page.evaluate(CONTRAST)).toBeGreaterThan(4.5);
    const colour = async (name: string): Promise<number[]> => {
      const fill = await frame(name)
        .locator('rect')
        .evaluate((rect) => (globalThis as unknown as { getComputedStyle(of: unknown): { fill: string } }).getComputedStyle(rect).fill);
      return fill.match(/\d+/g)!.map(Number);
    };
    const [red, , blue] = await colour('up5');
    expect(red).toBeGreaterThan(blue! + 40);
    const [red2, , blue2] = await colour('down5');
    expect(blue2).toBeGreaterThan(red2! + 40);
  });
});
