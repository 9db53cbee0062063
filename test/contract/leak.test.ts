// What a leak is told by, from end to end on the built package: the log, the metrics, the callback, the event, the generations
// in `go tool pprof`, the names of the sources. Two services that leak, one of them TypeScript and minified, watched for 36 s
// with the detector's clock hurried. Whom the detector finds, and how soon, is leak-corpus.test.ts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LeakFinding, LeakVerdict } from '../../src/leak/finding.ts';
import { GoPprof } from '../helpers/go-pprof.ts';
import { killAll, REGISTER, run, type Running } from '../helpers/process.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/leak');
const RUN_MILLIS = 36_000;

interface Outcome {
  readonly url: string;
  readonly verdict: LeakVerdict;
  readonly text: string;
  readonly metrics: string;
  readonly running: Running;
}

const pprof = new GoPprof();
let directory: string;
let outcomes: Record<'listeners' | 'minified', Outcome>;

async function outcomeOf(args: readonly string[]): Promise<Outcome> {
  const env = { SONDE_PORT: '0', SONDE_LEAKS_WARM_UP_SECONDS: '2', SONDE_LEAKS_WINDOW_SECONDS: '15' };
  const running = run({ args: ['--max-old-space-size=512', ...args], env });
  const [, url] = await running.seen(/listening on (http:\S+)/);
  await new Promise((resolve) => setTimeout(resolve, RUN_MILLIS));
  const verdict = (await (await fetch(`${url}/debug/leaks`)).json()) as LeakVerdict;
  const text = await (await fetch(`${url}/debug/leaks?format=text`)).text();
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return { url: url!, verdict, text, metrics, running };
}

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-leak-'));
  const [listeners, minified] = await Promise.all([
    outcomeOf([path.join(FIXTURES, 'listeners.cjs')]),
    outcomeOf(['--require', REGISTER, minifiedService()]),
  ]);
  outcomes = { listeners, minified };
}, RUN_MILLIS + 20_000);

afterAll(() => {
  killAll();
  pprof.close();
  rmSync(directory, { recursive: true });
});

/** A leak in TypeScript as one line of JavaScript, with its source map beside it. */
function minifiedService(): string {
  const outfile = path.join(directory, 'sessions.js');
  const entryPoints = [path.join(FIXTURES, 'sessions.ts')];
  buildSync({ entryPoints, bundle: true, minify: true, platform: 'node', format: 'cjs', sourcemap: 'linked', outfile });
  return outfile;
}

describe.each([
  // The line is that of the callback in the function, or of the function once V8 has inlined the callback.
  { name: 'listeners', fn: 'subscribe', file: 'listeners.cjs', lines: [10, 11, 12, 13] },
  { name: 'minified', fn: 'openSession', file: 'sessions.ts', lines: [12, 13] },
] as const)('$name', ({ name, fn, file, lines }) => {
  test('is a leak with function, file and line, its rate and its forecast', () => {
    const { level, findings } = outcomes[name].verdict;
    expect(level).toBe('leak');
    const [finding] = findings as [LeakFinding];
    expect(finding).toMatchObject({ kind: 'heap', level: 'leak', site: { function: fn, file: path.join(FIXTURES, file) } });
    expect(lines).toContain(finding.site!.line);
    expect(finding.stack.length).toBeGreaterThan(1);
    expect(finding.bytesPerHour / 3.6e9).toBeGreaterThan(0.3);
    expect(finding.bytesPerHour / 3.6e9).toBeLessThan(6);
    expect(finding.heapLimit!.seconds).toBeGreaterThan(30);
    expect(finding.heapLimit!.lowSeconds).toBeLessThanOrEqual(finding.heapLimit!.seconds);
  });

  test('is told in one line for each level, in the metrics, and in the text for people', () => {
    const { text, metrics, running } = outcomes[name];
    const told = running.stderr.split('\n').filter((line) => line.includes('see /debug/leaks'));
    expect(told.filter((line) => line.includes(`leak of heap: ${fn}`))).toHaveLength(1);
    expect(new Set(told).size).toBe(told.length);
    expect(metrics).toMatch(new RegExp(`^sonde_leak_growth_bytes\\{.*code_function_name="${fn}".*\\} [1-9]`, 'm'));
    expect(metrics).toMatch(/^sonde_leak_level(?:\{[^}]*\})? 4$/m);
    expect(metrics).toMatch(/^sonde_leak_forecast_seconds\{[^}]*limit="heap"[^}]*\} [1-9]/m);
    expect(text).toContain(`leak of heap: ${fn}`);
  });

  test('grows between two generations in go tool pprof', async (context) => {
    requirePeer(context, 'go');
    const { url } = outcomes[name];
    const rows = await pprof.top(
      '-unit=b',
      '-diff_base',
      `${url}/debug/leaks/heap?generation=first`,
      `${url}/debug/leaks/heap?generation=last`,
    );
    const grown = Math.max(...[...rows].filter(([row]) => row.includes(fn) || row.includes(file)).map(([, { cumulative }]) => cumulative));
    expect(grown).toBeGreaterThan(8e6);
  });
});

test('onLeak is called at each change of level, and what it throws is said once and changes nothing', () => {
  const { running, verdict } = outcomes.listeners;
  const told = running.stdout.split('\n').filter((line) => line.startsWith('onLeak '));
  expect(told.at(-1)).toBe('onLeak leak subscribe');
  expect(running.stderr.match(/onLeak failed/g)).toHaveLength(1);
  expect(verdict.level).toBe('leak');
});
