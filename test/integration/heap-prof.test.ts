// V8 has one heap sampler per thread. A user who starts Node with --heap-prof wants its file at the end, whatever Sonde does.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeBinary } from '../helpers/nodes.mjs';
import { killAll, REGISTER, run } from '../helpers/process.ts';

const APP = path.resolve(import.meta.dirname, '../fixtures/leak/ends.cjs');

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-heap-prof-'));
});

afterAll(() => {
  killAll();
  rmSync(directory, { recursive: true });
});

describe.each([20, 22, 24, 26])('on Node %i', (major) => {
  test('--heap-prof writes its profile, and Sonde says that it reads the same samples', async () => {
    const own = mkdtempSync(path.join(directory, `${major}-`));
    const running = run({
      node: nodeBinary(major),
      args: ['--heap-prof', `--heap-prof-dir=${own}`, '--require', REGISTER, APP],
      env: { SONDE_PORT: '0' },
    });
    const [, url] = await running.seen(/listening on (http:\S+)/);
    const { notes } = (await (await fetch(`${url}/debug/leaks`)).json()) as { notes: string[] };
    const heap = await fetch(`${url}/debug/pprof/heap?debug=1`);
    const text = await heap.text();
    await running.ended;
    expect(notes).toEqual([
      'nothing has been read yet: it is in the 10 s of its warm-up',
      'the samples of the heap are those of another profiler in this process, at its rate',
    ]);
    expect(text).toContain('keepHere');
    expect(running.stderr).toContain('another heap profiler runs in this process');
    const [file] = readdirSync(own);
    expect(JSON.stringify(JSON.parse(readFileSync(path.join(own, file!), 'utf8')))).toContain('keepHere');
    expect(running.stderr).not.toContain('not started');
  });
});
