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

/** A CommonJS module as its loader sees it; `id` is its filename until it turns out to be the main one. */
interface CommonJsModule {
  readonly id: string;
  exports: unknown;
  loaded: boolean;
}

/** What Node's CommonJS loader has and its types do not. */
interface Loader {
  readonly prototype: object;
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

  /**
   * Handles the libraries that are loaded already, and from now on each one when it has run. Nothing is wrapped: a
   * function of ours around `_load` or `_compile` would stand in the stack of every error while modules load. Node's
   * `Module` sets `loaded` to false on each new module, which an accessor on the prototype sees once a file, and to
   * true when the file has run, which an accessor on the modules of interest sees before anybody gets the exports
   * (an import keeps those it finds right then, Node 20 to 26).
   */
  install(): void {
    if (this.#restore !== undefined) return;
    const { prototype } = loader;
    let active = true;
    const created = this.#guard.wrap('modules', (module: CommonJsModule) => {
      if (active && this.#isWatchedMain(module.id)) this.#watch(module);
    });
    const set = function (this: CommonJsModule, value: boolean): void {
      setLoaded(this, value);
      created(this);
    };
    Object.defineProperty(prototype, 'loaded', { configurable: true, enumerable: false, get: () => undefined, set });
    this.#restore = () => {
      active = false;
      if (Object.getOwnPropertyDescriptor(prototype, 'loaded')?.set === set) delete (prototype as { loaded?: unknown }).loaded;
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
    if (!this.#mains.has(found.root)) {
      // Finding it makes a module, by which we come here again.
      this.#mains.set(found.root, undefined);
      this.#mains.set(found.root, mainFile(found));
    }
    return filename === this.#mains.get(found.root);
  }

  #watch(module: CommonJsModule): void {
    const filename = module.id;
    const run = this.#guard.wrap('modules', () => this.#handle(module, filename));
    Object.defineProperty(module, 'loaded', {
      configurable: true,
      enumerable: true,
      get: () => false,
      set: (value: boolean) => {
        setLoaded(module, value);
        if (value) run();
      },
    });
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

/** The property that Node's own assignment would have made. */
function setLoaded(module: CommonJsModule, value: boolean): void {
  Object.defineProperty(module, 'loaded', { value, configurable: true, enumerable: true, writable: true });
}
