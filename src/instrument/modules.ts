// The module hook: tells who instruments a library when the library's main file has run, for require and for an ES
// module's import of a CommonJS package. sdk.ts registers the handlers and installs it. Not seen: packages that are
// ES modules only, packages under another name or linked from outside of node_modules, and imported packages whose
// source a loader of the application hands out itself.
import Module from 'node:module';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import { mainFile, packageOf, versionOf } from './package-directory.ts';

/** Which copy of a library has been loaded. */
export interface LoadedModule {
  /** Absolute path of its main file, symbolic links resolved. */
  readonly filename: string;
  /** `version` of the nearest package.json that has one. */
  readonly version: string | undefined;
}

/**
 * Gets the exports of a library's main file and patches them in place. A returned value other than `undefined`
 * becomes the module's exports for everybody, importers included; for their `import { name }` it must have the
 * properties that the original had.
 */
export type ModuleHandler = (exports: unknown, loaded: LoadedModule) => unknown;

/** A CommonJS module as its loader sees it. */
interface CommonJsModule {
  exports: unknown;
  readonly loaded: boolean;
}

type CompileArguments = [content: string, filename: string, ...unknown[]];

/** What Node's CommonJS loader has and its types do not. */
interface Loader {
  readonly prototype: { _compile(this: CommonJsModule, ...args: CompileArguments): unknown };
  readonly _cache: Record<string, CommonJsModule | undefined>;
}

const loader = Module as unknown as Loader;

/** Calls the handlers of a library once for each copy of it that is loaded. */
export class ModuleHooks {
  readonly #guard: Guard;
  readonly #diag: Diag;
  readonly #handlers = new Map<string, ModuleHandler[]>();
  readonly #handled = new WeakSet<CommonJsModule>();
  readonly #mains = new Map<string, string | undefined>();
  #restore: (() => void) | undefined;

  constructor(guard: Guard, diag: Diag) {
    this.#guard = guard;
    this.#diag = diag;
  }

  /**
   * Registers a handler for the package `name`; before `install`. One that throws is counted and said once under
   * `instrument.<name>`, and the application gets the exports as they are.
   */
  onLoad(name: string, handler: ModuleHandler): void {
    const handlers = this.#handlers.get(name);
    if (handlers === undefined) this.#handlers.set(name, [handler]);
    else handlers.push(handler);
  }

  /** Handles the libraries that are loaded already, and from now on each one when it has run. */
  install(): void {
    if (this.#restore !== undefined) return;
    const { prototype } = loader;
    const original = prototype._compile;
    let active = true;
    const compiled = this.#guard.wrap('modules', (module: CommonJsModule, filename: string) => {
      if (active && this.#isWatchedMain(filename)) this.#handle(module, filename);
    });
    // Not Module._load: an import keeps the exports it finds when the file has run (a private field of the module,
    // Node 20 to 26), before _load returns. This also runs once a file and not once a require.
    const compile = function (this: CommonJsModule, ...args: CompileArguments): unknown {
      // Outside the guard: a module that cannot be loaded throws into the application as without us.
      const result = original.apply(this, args);
      compiled(this, args[1]);
      return result;
    };
    prototype._compile = compile;
    this.#restore = () => {
      active = false;
      // Somebody who wrapped the loader after us holds our function: taking theirs away would be harm.
      if (prototype._compile === compile) prototype._compile = original;
    };
    this.#guard.run('modules', () => this.#handleLoaded());
  }

  /** Handles nothing from now on; what handlers have patched stays as it is. */
  uninstall(): void {
    this.#restore?.();
    this.#restore = undefined;
  }

  #handleLoaded(): void {
    for (const [filename, module] of Object.entries(loader._cache)) {
      if (module?.loaded === true && this.#isWatchedMain(filename)) this.#handle(module, filename);
    }
  }

  /** Whether requiring a library of interest by its name answers with this file. Most files must leave at once. */
  #isWatchedMain(filename: string): boolean {
    const found = packageOf(filename);
    if (found === undefined || !this.#handlers.has(found.name)) return false;
    if (!this.#mains.has(found.root)) this.#mains.set(found.root, mainFile(found));
    return filename === this.#mains.get(found.root);
  }

  #handle(module: CommonJsModule, filename: string): void {
    if (this.#handled.has(module)) return;
    this.#handled.add(module);
    const name = packageOf(filename)?.name ?? '';
    const loaded: LoadedModule = { filename, version: versionOf(filename) };
    this.#diag.debug(`instrumenting ${name} ${loaded.version ?? 'of unknown version'} at ${filename}`);
    for (const handler of this.#handlers.get(name) ?? []) {
      const replacement = this.#guard.run(`instrument.${name}`, () => handler(module.exports, loaded));
      if (replacement !== undefined) module.exports = replacement;
    }
  }
}
