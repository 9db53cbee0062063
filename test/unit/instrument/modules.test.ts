import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { type LoadedModule, ModuleHooks } from '../../../src/instrument/modules.ts';

const { prototype } = Module as unknown as { prototype: { _compile(content: string, filename: string): unknown } };
const originalCompile = prototype._compile;

let root: string;
let said: string[];
let guard: Guard;
let hooks: ModuleHooks;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sonde-modules-')));
  said = [];
  const diag = new StderrDiag('warn', (line) => said.push(line));
  guard = new Guard(diag);
  hooks = new ModuleHooks(guard, diag);
});

afterEach(() => {
  hooks.uninstall();
  rmSync(root, { recursive: true });
  const { cache } = createRequire(import.meta.url);
  for (const filename of Object.keys(cache)) if (filename.startsWith(root)) delete cache[filename];
  expect(prototype._compile).toBe(originalCompile);
});

function file(path: string, text: string): string {
  const filename = join(root, path);
  mkdirSync(dirname(filename), { recursive: true });
  writeFileSync(filename, text);
  return filename;
}

/** A package whose main file is lib/main.js; `path` is where it lies, its name the last part of it. */
function install(path: string, version = '1.0.0', code = 'exports.whole = true;'): string {
  file(`${path}/package.json`, JSON.stringify({ version, main: './lib/main.js' }));
  return file(`${path}/lib/main.js`, code);
}

function requireFrom(path = 'app.js'): NodeJS.Require {
  return createRequire(join(root, path));
}

/** Registers a handler that writes down what it gets. */
function record(name: string): { exports: unknown; loaded: LoadedModule }[] {
  const seen: { exports: unknown; loaded: LoadedModule }[] = [];
  hooks.onLoad(name, (exports, loaded) => {
    seen.push({ exports, loaded });
  });
  return seen;
}

describe('a library of interest', () => {
  it('is handed over with its file and version when it is required by its name', () => {
    const filename = install('node_modules/lib-a', '3.2.1');
    const seen = record('lib-a');
    hooks.install();
    const exports = requireFrom()('lib-a') as unknown;
    expect(seen).toEqual([{ exports, loaded: { filename, version: '3.2.1' } }]);
    expect(seen[0]?.exports).toBe(exports);
  });

  it('may have a scope', () => {
    install('node_modules/@scope/lib-a');
    const seen = record('@scope/lib-a');
    hooks.install();
    requireFrom()('@scope/lib-a');
    expect(seen).toHaveLength(1);
  });

  it('is handed over when its main file is required by an absolute path, as an import of it does', () => {
    const filename = install('node_modules/@scope/lib-a');
    const seen = record('@scope/lib-a');
    hooks.install();
    requireFrom()(filename);
    expect(seen).toHaveLength(1);
  });

  it('is handed over when its main file is required by a path below its name', () => {
    install('node_modules/lib-a');
    const seen = record('lib-a');
    hooks.install();
    requireFrom()('lib-a/lib/main.js');
    expect(seen).toHaveLength(1);
  });

  it('is handed over once however often and from wherever it is loaded', () => {
    const filename = install('node_modules/lib-a');
    const seen = record('lib-a');
    hooks.install();
    requireFrom()('lib-a');
    requireFrom('other/file.js')('lib-a');
    requireFrom()(filename);
    expect(seen).toHaveLength(1);
  });

  it('is handed over once for each copy', () => {
    install('node_modules/lib-a', '1.0.0');
    install('node_modules/lib-b/node_modules/lib-a', '2.0.0');
    const seen = record('lib-a');
    hooks.install();
    requireFrom()('lib-a');
    requireFrom('node_modules/lib-b/index.js')('lib-a');
    expect(seen.map(({ loaded }) => loaded.version)).toEqual(['1.0.0', '2.0.0']);
  });

  it("is handed over by its real file in pnpm's layout", () => {
    const filename = install('node_modules/.pnpm/lib-a@1.0.0/node_modules/lib-a');
    symlinkSync(join(root, 'node_modules/.pnpm/lib-a@1.0.0/node_modules/lib-a'), join(root, 'node_modules/lib-a'));
    const seen = record('lib-a');
    hooks.install();
    requireFrom()('lib-a');
    requireFrom()(filename);
    expect(seen.map(({ loaded }) => loaded.filename)).toEqual([filename]);
  });

  it('has the version of the package, not of a folder that only says its type', () => {
    install('node_modules/lib-a', '4.5.6');
    file('node_modules/lib-a/lib/package.json', '{"type":"commonjs"}');
    const seen = record('lib-a');
    hooks.install();
    requireFrom()('lib-a');
    expect(seen[0]?.loaded.version).toBe('4.5.6');
  });

  it('is handed over whole when its files require each other in a circle', () => {
    install('node_modules/lib-a', '1.0.0', 'exports.first = 1; require("./part.js"); exports.second = 2;');
    file('node_modules/lib-a/lib/part.js', 'require("lib-a");');
    const keys: string[][] = [];
    hooks.onLoad('lib-a', (exports) => {
      keys.push(Object.keys(exports as object));
    });
    hooks.install();
    requireFrom()('lib-a');
    expect(keys).toEqual([['first', 'second']]);
  });

  it('is handed over at install when it has been loaded before', () => {
    const filename = install('node_modules/lib-a');
    requireFrom()(filename);
    const seen = record('lib-a');
    hooks.install();
    expect(seen).toHaveLength(1);
    requireFrom()('lib-a');
    expect(seen).toHaveLength(1);
  });

  it('is not handed over half made when the hook is installed while it loads', () => {
    install('node_modules/lib-a', '1.0.0', 'exports.first = 1; globalThis.installHooks(); exports.second = 2;');
    const seen = record('lib-a');
    vi.stubGlobal('installHooks', () => hooks.install());
    requireFrom()('lib-a');
    vi.unstubAllGlobals();
    expect(seen).toHaveLength(0);
  });

  it('is not handed over twice when the hook is installed twice', () => {
    install('node_modules/lib-a');
    const seen = record('lib-a');
    hooks.install();
    requireFrom()('lib-a');
    hooks.uninstall();
    hooks.install();
    expect(seen).toHaveLength(1);
  });

  it('is handed over again when the application dropped it from the cache and loads it anew', () => {
    const filename = install('node_modules/lib-a');
    const seen = record('lib-a');
    hooks.install();
    const application = requireFrom();
    application('lib-a');
    delete application.cache[filename];
    application('lib-a');
    expect(seen).toHaveLength(2);
  });
});

describe('what is no library of interest', () => {
  it.each([
    ['a file of the application with the same name', 'lib-a.js', './lib-a.js'],
    ['a folder of the application with the same name', 'lib-a/index.js', './lib-a'],
    ['another file of the library', 'node_modules/lib-a/lib/part.js', 'lib-a/lib/part.js'],
    ['a JSON file of the library', 'node_modules/lib-a/data.json', 'lib-a/data.json'],
    ['a library whose name begins alike', 'node_modules/lib-a-b/index.js', 'lib-a-b'],
    ['a library of the same name under a scope', 'node_modules/@scope/lib-a/index.js', '@scope/lib-a'],
  ])('%s is left alone', (_what, path, request) => {
    install('node_modules/lib-a');
    const filename = file(path, path.endsWith('.json') ? '{}' : 'module.exports = {};');
    const seen = record('lib-a');
    hooks.install();
    requireFrom()(request);
    requireFrom()(filename);
    expect(seen).toHaveLength(0);
  });

  it('a module that does not exist throws the error that it throws without the hook', () => {
    const caught = (): unknown => {
      try {
        return requireFrom()('lib-a');
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    const seen = record('lib-a');
    hooks.install();
    expect(caught()).toBe('MODULE_NOT_FOUND');
    expect(seen).toHaveLength(0);
    expect(guard.failures().size).toBe(0);
  });

  it('a library that throws while it loads throws its own error, and is handed over when it loads later', () => {
    install('node_modules/lib-a', '1.0.0', 'if (globalThis.libAFails) throw globalThis.libAFails;');
    const seen = record('lib-a');
    hooks.install();
    const failure = new RangeError('not now');
    vi.stubGlobal('libAFails', failure);
    expect(() => requireFrom()('lib-a')).toThrow(failure);
    vi.unstubAllGlobals();
    requireFrom()('lib-a');
    expect(seen).toHaveLength(1);
    expect(guard.failures().size).toBe(0);
  });
});

describe('a handler', () => {
  it('may replace the exports for everybody who loads them from then on', () => {
    install('node_modules/lib-a', '1.0.0', 'module.exports = () => "original";');
    hooks.onLoad('lib-a', () => () => 'replaced');
    hooks.install();
    expect((requireFrom()('lib-a') as () => string)()).toBe('replaced');
    expect((requireFrom('other/file.js')('lib-a') as () => string)()).toBe('replaced');
  });

  it('gets what the one before it made of the exports', () => {
    install('node_modules/lib-a', '1.0.0', 'module.exports = { by: [] };');
    hooks.onLoad('lib-a', (exports) => ({ by: [...(exports as { by: string[] }).by, 'first'] }));
    hooks.onLoad('lib-a', (exports) => ({ by: [...(exports as { by: string[] }).by, 'second'] }));
    hooks.install();
    expect(requireFrom()('lib-a')).toEqual({ by: ['first', 'second'] });
  });

  it('that throws is counted and said once, and the application gets the untouched exports', () => {
    install('node_modules/lib-a');
    install('node_modules/lib-b/node_modules/lib-a');
    hooks.onLoad('lib-a', () => {
      throw new Error('unknown shape');
    });
    hooks.install();
    expect(requireFrom()('lib-a')).toEqual({ whole: true });
    expect(requireFrom('node_modules/lib-b/index.js')('lib-a')).toEqual({ whole: true });
    expect(guard.failures()).toEqual(new Map([['instrument.lib-a', 2]]));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('unknown shape');
  });
});

describe('uninstalling', () => {
  it('ends the handling and gives the loader back', () => {
    install('node_modules/lib-a');
    const seen = record('lib-a');
    hooks.install();
    hooks.install();
    hooks.uninstall();
    expect(prototype._compile).toBe(originalCompile);
    requireFrom()('lib-a');
    expect(seen).toHaveLength(0);
  });

  it('leaves another hook that was installed after ours in place, and handles nothing under it', () => {
    install('node_modules/lib-a');
    const seen = record('lib-a');
    hooks.install();
    const ours = prototype._compile;
    const theirs: typeof originalCompile = function (this: unknown, content, filename) {
      return ours.call(this as typeof prototype, content, filename);
    };
    prototype._compile = theirs;
    hooks.uninstall();
    expect(prototype._compile).toBe(theirs);
    expect(requireFrom()('lib-a')).toEqual({ whole: true });
    expect(seen).toHaveLength(0);
    prototype._compile = originalCompile;
  });
});
