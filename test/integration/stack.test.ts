// What an application's errors show of Sonde: nothing. The pages that Express answers with in development hold the stack
// of the error, and stderr does too. Child processes on the built package, with and without the preload.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { APPS, killAll, ROOT, withAndWithout } from '../helpers/process.ts';

const MODULES = path.join(ROOT, 'node_modules');

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-stack-'));
});

afterEach(killAll);

afterAll(() => rmSync(directory, { recursive: true }));

/** The application beside a copy of an installed package under the name it is published as. */
function lay(app: string, name: string, installed: string): string {
  const root = path.join(directory, installed);
  const modules = path.join(root, 'node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(path.join(MODULES, installed), path.join(modules, name), { recursive: true });
  for (const other of readdirSync(MODULES)) {
    if (other !== name && !other.startsWith('.')) symlinkSync(path.join(MODULES, other), path.join(modules, other));
  }
  cpSync(path.join(APPS, app), path.join(root, app));
  return path.join(root, app);
}

describe('Express', () => {
  const FAILING = ['/plain', '/param/1', '/next', '/a/b/c/nested', '/tenants/acme/mounted', '/sub/1', '/middleware'];

  test.each([
    [4, 'express4'],
    [5, 'express'],
  ])('%i answers with the same stacks and writes the same to stderr, byte by byte', async (_version, installed) => {
    const app = lay('express-stack.cjs', 'express', installed);
    const { bare, sonde, lines } = await withAndWithout({ app }, async (service) => {
      const answers: string[] = [];
      for (const target of [...FAILING, '/routes/1', '/none']) answers.push(await service.get(target));
      const metrics = service.hasSonde ? await service.read('/metrics') : '';
      answers.push(await service.get('/close'));
      return {
        answers,
        routes: Array.from(metrics.matchAll(/_duration_seconds_count\{.*http_route="([^"]*)"/g), ([, route]) => route).sort(),
      };
    });
    expect(sonde.result.answers).toEqual(bare.result.answers);
    expect(sonde.ended).toEqual(bare.ended);
    // Both are what they are said to be: stacks, of an application that is observed.
    for (const answer of bare.result.answers.slice(0, FAILING.length)) expect(answer).toMatch(/^HTTP\/1.1 500 [^]*<br> &nbsp; &nbsp;at /);
    expect(bare.ended.stderr.match(/^Error: /gm)).toHaveLength(FAILING.length);
    expect(lines).toHaveLength(1);
    // Nothing has a route that is not here: /middleware, /none, and /routes/1, which its route passes on.
    expect(sonde.result.routes).toEqual(['/a/b/c/nested', '/next', '/param/:broken', '/plain', '/sub/:id', '/tenants/:tenant/mounted']);
  });
});
