// The module hook and the loggers' patches together, in child processes: as a CommonJS and as an ES-module
// application meets them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'tsup';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const FIXTURES = join(import.meta.dirname, '../../fixtures/logs');
const IDS = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331', trace_flags: '01' };

let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sonde-logs-'));
  const entry = [join(FIXTURES, 'preload.ts')];
  await build({ entry, format: ['cjs'], target: 'node20', outDir: directory, config: false, silent: true, dts: false });
});

afterAll(() => rmSync(directory, { recursive: true }));

function run(app: string, ...args: string[]): string {
  return execFileSync(process.execPath, ['--require', join(directory, 'preload.js'), app, ...args], {
    encoding: 'utf8',
  });
}

describe.each(['app.cjs', 'app.mjs'])('%s', (app) => {
  it.each(['early', 'late'])('correlates the lines of all loggers inside a request only, installed %s', (when) => {
    const output = run(join(FIXTURES, app), when);
    const lines = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const outside = lines.filter((line) => line['message'] === 'outside');
    const inside = lines.filter((line) => line['message'] === 'inside');

    expect(new Set(inside.map((line) => line['by']))).toEqual(new Set(['pino', 'bunyan', 'winston']));
    expect(outside).toHaveLength(inside.length);
    for (const line of inside) expect(line).toMatchObject(IDS);
    for (const line of outside) expect(line).not.toHaveProperty('trace_id');
  });
});

describe('a handler that replaces the exports', () => {
  beforeAll(() => {
    const root = join(directory, 'node_modules/greeter');
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, 'package.json'), '{"name":"greeter","version":"1.2.3"}');
    writeFileSync(join(root, 'index.js'), 'module.exports = (n) => "hello " + n; module.exports.extra = 7;');
    writeFileSync(
      join(directory, 'app.mjs'),
      'import greet, { extra } from "greeter"; import * as all from "greeter"; console.log(greet("a"), extra, all.default("b"));',
    );
    writeFileSync(join(directory, 'app.cjs'), 'const greet = require("greeter"); console.log(greet("a"), greet.extra);');
  });

  it('is seen by import, with the named exports of the original', () => {
    expect(run(join(directory, 'app.mjs'))).toBe('hello a, instrumented 7 hello b, instrumented\n');
  });

  it('is seen by require', () => {
    expect(run(join(directory, 'app.cjs'))).toBe('hello a, instrumented 7\n');
  });
});
