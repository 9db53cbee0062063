// The graph as a document; what it does in a browser is in test/contract.
import { describe, expect, test } from 'vitest';
import { flameGraph } from '../../../src/profile/flame-graph.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { CPU_HEAD, HEAP_HEAD, profileOf, textOf } from '../../fixtures/profile/stacks.ts';

interface Frame {
  readonly name: string;
  readonly place: string;
  readonly tooltip: readonly string[];
  readonly colour: string;
  readonly left: number;
  readonly width: number;
  readonly y: number;
}

const TITLE = { subject: 'sonde 0.1.0 shop', filters: [] };

async function write(profile: Profile, title: Parameters<typeof flameGraph>[1] = TITLE): Promise<{ svg: string; frames: Frame[] }> {
  const svg = await textOf(flameGraph(profile, title));
  const pattern =
    /<svg class="frame" x="([\d.]+)%" y="(\d+)" width="([\d.]+)%" height="\d+"><title>(.*?)<\/title><rect class="(.*?)".*?><text.*?>(.*?)<tspan>(.*?)<\/tspan>/gs;
  const frames = Array.from(svg.matchAll(pattern), ([, left, y, width, tooltip, colour, name, place]): Frame => {
    return {
      name: unescape(name!),
      place: unescape(place!).trim(),
      tooltip: unescape(tooltip!).split('\n'),
      colour: colour!,
      left: Number(left),
      width: Number(width),
      y: Number(y),
    };
  });
  return { svg, frames };
}

function unescape(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&');
}

/** Texts of the header and the note, the graph's own left out. */
function texts(svg: string): string {
  return svg
    .replaceAll(/<svg class="frame".*?<\/svg>/gs, '')
    .replaceAll(/<!\[CDATA\[.*?\]\]>/gs, '')
    .replaceAll(/<[^>]*>/g, '\n');
}

describe('a frame', () => {
  test('is as wide as its share, below its caller, the larger of two to the left', async () => {
    const { frames } = await write(
      profileOf(CPU_HEAD, [
        [
          ['main /srv/app.js:1:1', 'small /srv/app.js:9:1'],
          [1, 10],
        ],
        [
          ['main /srv/app.js:1:1', 'large /srv/app.js:20:1'],
          [1, 30],
        ],
        [['main /srv/app.js:1:1'], [1, 40]],
        [['(garbage collector)'], [1, 20]],
      ]),
    );
    const [top] = frames;
    expect(frames.map(({ name, left, width, y }) => [name, left, width, (y - top!.y) / 19])).toEqual([
      ['all', 0, 100, 0],
      ['main', 0, 80, 1],
      ['large', 0, 30, 2],
      ['small', 30, 10, 2],
      ['(garbage collector)', 80, 20, 1],
    ]);
  });

  test('says in its tooltip what it is, where it starts and what it has', async () => {
    const { frames } = await write(
      profileOf(CPU_HEAD, [
        [['handle /srv/app.js:30:5'], [3, 1_234_000_000], { 'http.route': '/x' }],
        [['(idle)'], [1, 66_000_000]],
      ]),
    );
    expect(frames.map(({ tooltip }) => tooltip)).toEqual([
      ['all', '', '1.30 s, 100 %'],
      ['handle', '/srv/app.js:30:5', '1.23 s, 94.9 %'],
      ['(idle)', '', '66.0 ms, 5.1 %'],
    ]);
    const heap = await write(profileOf(HEAP_HEAD, [[['keep /srv/app.js:3'], [1, 3 * 2 ** 20]]]));
    expect(heap.frames[1]!.tooltip).toEqual(['keep', '/srv/app.js:3', '3.00 MiB, 100 %']);
  });

  test.each([
    ['f /srv/shop/lib/app.js:3:1', /^application-\d$/, 'app.js:3'],
    ['f C:\\shop\\app.js:3:1', /^application-\d$/, 'app.js:3'],
    ['f /srv/node_modules/express/lib/router.js:3:1', /^dependency-\d$/, 'express router.js:3'],
    ['f /srv/node_modules/a/node_modules/@scope/b/x.js:3:1', /^dependency-\d$/, '@scope/b x.js:3'],
    ['f C:\\node_modules\\express\\x.js:3:1', /^dependency-\d$/, 'express x.js:3'],
    ['f node:internal/timers:3:1', /^node-\d$/, 'node:internal/timers:3'],
    ['(program)', /^engine-\d$/, ''],
  ])('of %s has the colour of its origin and a short place', async (written, colour, place) => {
    const { frames } = await write(profileOf(CPU_HEAD, [[[written], [1, 1]]]));
    expect(frames[1]!.colour).toMatch(colour);
    expect(frames[1]!.place).toBe(place);
  });

  test('has the colour of its package or file, whatever the function', async () => {
    const written = ['f /a/node_modules/x/1.js:1', 'g /b/node_modules/x/2.js:9', 'h /srv/a.js:1', 'i /srv/a.js:2'];
    const { frames } = await write(
      profileOf(
        CPU_HEAD,
        written.map((frame) => [[frame], [1, 1]]),
      ),
    );
    const [, f, g, h, i] = frames.map(({ colour }) => colour);
    expect([f, h]).toEqual([g, i]);
  });

  test('is left out when it is narrower than a thousandth, and counted with what it calls', async () => {
    const rest = (value: number): readonly [readonly string[], readonly number[]] => [['rest'], [1, value]];
    const widest = await write(profileOf(CPU_HEAD, [[['thin'], [1, 1]], rest(999)]));
    expect(widest.frames.map(({ name }) => name)).toEqual(['all', 'rest', 'thin']);
    expect(texts(widest.svg)).not.toContain('left out');
    const one = await write(profileOf(CPU_HEAD, [[['thin'], [1, 1]], rest(1000)]));
    expect(one.frames.map(({ name }) => name)).toEqual(['all', 'rest']);
    expect(texts(one.svg)).toContain('1 frame narrower than 0.1 % is left out.');
    const more = await write(
      profileOf(CPU_HEAD, [
        [
          ['thin', 'thinner'],
          [1, 1],
        ],
        rest(1000),
      ]),
    );
    expect(texts(more.svg)).toContain('2 frames narrower than 0.1 % are left out.');
  });

  test('has a name that is text, whatever is in it', async () => {
    const name = `</text><script>alert("1")</script>&amp;'\u0000\u001b\ud800]]>`;
    const { svg, frames } = await write(profileOf(CPU_HEAD, [[[name], [1, 1]]]));
    expect(frames[1]!.name).toBe(`</text><script>alert("1")</script>&amp;'\ufffd\ufffd\ufffd]]>`);
    expect(svg.match(/<script/g)).toHaveLength(1);
    expect(frames).toHaveLength(2);
  });
});

describe('the title', () => {
  test('says what it is, of whom, when, for how long, how much, and by what it was chosen', async () => {
    const profile = profileOf(CPU_HEAD, [[['a'], [1, 4_210_000_000]]]);
    const { svg } = await write(profile, { subject: 'shop <1>', filters: ['http.route=/orders/:id', 'thread=main'] });
    expect(svg).toContain('<title>CPU time - shop &lt;1&gt;</title>');
    expect(texts(svg)).toContain('CPU time');
    expect(texts(svg)).toContain(
      'shop &lt;1&gt; \u00b7 60.0 s from 2026-11-21 14:03:10 UTC \u00b7 4.21 s in all \u00b7 http.route=/orders/:id \u00b7 thread=main',
    );
  });

  test('of a profile of one moment has no duration', async () => {
    const { svg } = await write(profileOf(HEAP_HEAD, [[['a'], [1, 2048]]]));
    expect(texts(svg)).toContain('sonde 0.1.0 shop \u00b7 2026-11-21 14:03:10 UTC \u00b7 2.00 KiB in all');
  });

  test('says that there is nothing, where there is nothing', async () => {
    const { svg, frames } = await write(profileOf(CPU_HEAD, []));
    expect(texts(svg)).toContain('There is nothing in this profile.');
    expect(frames.map(({ name, width, tooltip }) => [name, width, tooltip[2]])).toEqual([['all', 100, '0 ns, 0.00 %']]);
  });
});

describe('a difference', () => {
  const difference = profileOf({ ...HEAP_HEAD, durationMillis: 5000 }, [
    [
      ['main /srv/app.js:1', 'grows /srv/app.js:5'],
      [1, 6 * 2 ** 20],
    ],
    [
      ['main /srv/app.js:1', 'shrinks /srv/app.js:9'],
      [-1, -4 * 2 ** 20],
    ],
  ]);

  test('is as wide as what changed, gains and losses, and its colour is what became of it', async () => {
    const { frames } = await write(difference);
    expect(frames.map(({ name, width, colour }) => [name, width, colour])).toEqual([
      ['all', 100, 'more-0'],
      ['main', 100, 'more-0'],
      ['grows', 60, 'more-4'],
      ['shrinks', 40, 'less-4'],
    ]);
  });

  test('says so, with the signs', async () => {
    const { svg, frames } = await write(difference);
    expect(texts(svg)).toContain('Live memory, difference');
    expect(texts(svg)).toContain('+2.00 MiB in all');
    expect(texts(svg)).toContain('more than before');
    expect(frames.map(({ tooltip }) => tooltip[2])).toEqual([
      '+2.00 MiB, 100 % of all that changed',
      '+2.00 MiB, 100 % of all that changed',
      '+6.00 MiB, 60.0 % of all that changed',
      '-4.00 MiB, 40.0 % of all that changed',
    ]);
  });

  test('that is even has no colour', async () => {
    const { frames } = await write(
      profileOf(HEAP_HEAD, [
        [
          ['main', 'a'],
          [1, 5],
        ],
        [
          ['main', 'b'],
          [1, -5],
        ],
      ]),
    );
    expect(frames.slice(0, 2).map(({ colour }) => colour)).toEqual(['same', 'same']);
  });
});
