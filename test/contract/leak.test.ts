// Programs that leak and programs that only look like it, each in a process of its own under the preload, with the
// detector's quick settings; one of them is TypeScript and minified. All run at once, for 36 s: what is asked is what they have said by then.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { killAll, REGISTER, run, type Running } from '../helpers/process.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/leak');
const RUN_MILLIS = 36_000;

interface Verdict {
  readonly level: string;
  readonly findings: readonly {
    readonly level: string;
    readonly site: { readonly function: string; readonly file: string; readonly line: number };
    readonly stack: readonly { readonly function: string }[];
    readonly bytesPerHour: number;
    readonly secondsToHeapLimit: number | null;
  }[];
}

interface Outcome {
  readonly verdict: Verdict;
  readonly metrics: string;
  /** What the process has written to stderr. */
  readonly stderr: string;
}

const PROGRAMS = { mapLeak: 'map-leak', listenerLeak: 'listener-leak,batches', noLeak: 'warm-cache,batches,ramp' } as const;

let directory: string;
let outcomes: Record<keyof typeof PROGRAMS | 'minified', Outcome>;

function start(...args: string[]): Running {
  const env = {
    SONDE_PORT: '0',
    SONDE_PROFILING_HEAP_INTERVAL_BYTES: '524288',
    SONDE_LEAKS_WARM_UP_SECONDS: '4',
    SONDE_LEAKS_WINDOW_SECONDS: '8',
    SONDE_LEAKS_MIN_GROWTH_BYTES: String(6 * 1024 * 1024),
  };
  return run({ args: ['--require', REGISTER, ...args], env });
}

async function outcomeOf(...args: string[]): Promise<Outcome> {
  const running = start(...args);
  const [, url] = await running.seen(/listening on (http:\S+)/);
  await new Promise((resolve) => setTimeout(resolve, RUN_MILLIS));
  const verdict = (await (await fetch(`${url}/debug/leaks`)).json()) as Verdict;
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return { verdict, metrics, stderr: running.stderr };
}

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-leak-'));
  const service = path.join(FIXTURES, 'service.cjs');
  const entries = Object.entries({
    ...Object.fromEntries(Object.entries(PROGRAMS).map(([name, programs]) => [name, [service, programs]])),
    minified: [minified()],
  }).map(async ([name, args]) => [name, await outcomeOf(...args)] as const);
  outcomes = Object.fromEntries(await Promise.all(entries)) as typeof outcomes;
}, RUN_MILLIS + 20_000);

afterAll(() => {
  killAll();
  rmSync(directory, { recursive: true });
});

/** A leak in TypeScript as one line of JavaScript, with its source map beside it. */
function minified(): string {
  const outfile = path.join(directory, 'sessions.js');
  const entryPoints = [path.join(FIXTURES, 'sessions.ts')];
  buildSync({ entryPoints, bundle: true, minify: true, platform: 'node', format: 'cjs', sourcemap: 'linked', outfile });
  return outfile;
}

describe.each([
  // The line is that of the callback in the function, or of the function once V8 has inlined the callback.
  { name: 'mapLeak', fn: 'openSession', file: 'map-leak.cjs', lines: [4, 5] },
  { name: 'minified', fn: 'openSession', file: 'sessions.ts', lines: [12, 13] },
  { name: 'listenerLeak', fn: 'subscribe', file: 'listener-leak.cjs', lines: [7, 8, 9] },
] as const)('$name', ({ name, fn, file, lines }) => {
  test('is named with function, file and line', () => {
    const { level, findings } = outcomes[name].verdict;
    expect(level).toBe('leak');
    const [{ site, stack, bytesPerHour, secondsToHeapLimit }] = findings as [Verdict['findings'][number]];
    expect(site).toMatchObject({ function: fn, file: path.join(FIXTURES, file) });
    expect(lines).toContain(site.line);
    expect(stack.length).toBeGreaterThan(1);
    expect(bytesPerHour / 3.6e9).toBeGreaterThan(0.3);
    expect(bytesPerHour / 3.6e9).toBeLessThan(6);
    expect(secondsToHeapLimit).toBeGreaterThan(60);
  });

  test('is the only leak, in one line of the log and in the metrics', () => {
    const { verdict, metrics, stderr } = outcomes[name];
    expect(verdict.findings.filter(({ level }) => level === 'leak')).toHaveLength(1);
    expect(stderr.split('\n').filter((line) => line.includes('leak'))).toEqual([expect.stringContaining(fn)]);
    expect(metrics).toMatch(new RegExp(`^sonde_leak_\\w+\\{.*${fn}.*\\} [1-9]`, 'm'));
  });
});

test('a cache that fills and turns over, batches and a ramp of traffic are not called leaks', () => {
  const { verdict, stderr } = outcomes.noLeak;
  expect(['watching', 'suspect']).toContain(verdict.level);
  expect(stderr).not.toContain('leak');
});
