// The real DevTools: the front end that Chromium carries, opened as a page of its own, whose parsers are asked what they
// make of a file.
import type { Browser, Page } from 'playwright-core';
import { startBrowser } from './browser.ts';

/** Where the front end's modules are, below the address of its page. */
const BUNDLED = 'devtools://devtools/bundled';

/** As text: vitest puts functions of its own in the place of every import() that it sees. */
const PREPARATION = `(async () => {
  document.body.append(Object.assign(document.createElement('input'), { type: 'file', id: 'sonde-file' }));
  globalThis.parsers = {
    ...(await import('${BUNDLED}/models/cpu_profile/cpu_profile.js')),
    ...(await import('${BUNDLED}/panels/profiler/profiler.js')),
    ...(await import('${BUNDLED}/entrypoints/heap_snapshot_worker/heap_snapshot_worker.js')),
  };
})()`;

/** What DevTools reads in a CPU profile. */
export interface OpenedCpuProfile {
  readonly samples: number;
  readonly startMillis: number;
  readonly endMillis: number;
  readonly isInTimeOrder: boolean;
  /** Self time in milliseconds by function. */
  readonly selfMillis: Readonly<Record<string, number>>;
}

/** What DevTools reads in a sampled heap profile. */
export interface OpenedHeapProfile {
  readonly totalBytes: number;
  /** Bytes allocated by the function and by what it called. */
  readonly bytes: Readonly<Record<string, number>>;
}

/** What DevTools reads in a heap snapshot. */
export interface OpenedSnapshot {
  readonly totalBytes: number;
  /** Objects by the name of their class. */
  readonly counts: Readonly<Record<string, number>>;
}

/** One Chromium with its DevTools open. */
export class Devtools {
  readonly #browser: Browser;
  readonly #page: Page;

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser;
    this.#page = page;
  }

  static async open(): Promise<Devtools> {
    const browser = await startBrowser();
    const page = await browser.newPage();
    await page.goto(`${BUNDLED}/devtools_app.html`, { waitUntil: 'domcontentloaded' });
    await page.evaluate(PREPARATION);
    return new Devtools(browser, page);
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }

  /** Opens a .cpuprofile. */
  async cpuProfile(file: string): Promise<OpenedCpuProfile> {
    return this.#parse(file, async (input, parsers) => {
      const model = new parsers.CPUProfileDataModel.CPUProfileDataModel(JSON.parse(await input.files[0].text()));
      const selfMillis: Record<string, number> = {};
      for (const node of model.nodes()) selfMillis[node.functionName] = (selfMillis[node.functionName] ?? 0) + node.self;
      const times: number[] = model.timestamps;
      return {
        samples: model.samples.length,
        startMillis: model.profileStartTime,
        endMillis: model.profileEndTime,
        isInTimeOrder: times.every((time, i) => i === 0 || time >= times[i - 1]!),
        selfMillis,
      };
    });
  }

  /** Opens a .heapprofile. */
  async heapProfile(file: string): Promise<OpenedHeapProfile> {
    return this.#parse(file, async (input, parsers) => {
      const model = new parsers.HeapProfileView.SamplingHeapProfileModel(JSON.parse(await input.files[0].text()));
      const bytes: Record<string, number> = {};
      const pending = [model.root];
      for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
        bytes[node.functionName] = (bytes[node.functionName] ?? 0) + node.total;
        pending.push(...node.children);
      }
      return { totalBytes: model.total, bytes };
    });
  }

  /** Opens a .heapsnapshot, as DevTools does: piece by piece. */
  async snapshot(file: string): Promise<OpenedSnapshot> {
    return this.#parse(file, async (input, parsers) => {
      const { HeapSnapshot, HeapSnapshotLoader, HeapSnapshotWorkerDispatcher } = parsers;
      const dispatcher = new HeapSnapshotWorkerDispatcher.HeapSnapshotWorkerDispatcher(() => {});
      const loader = new HeapSnapshotLoader.HeapSnapshotLoader(dispatcher);
      const decoder = new TextDecoder();
      for await (const piece of input.files[0].stream()) loader.write(decoder.decode(piece, { stream: true }));
      loader.close();
      await loader.parsingComplete;
      const channel = new MessageChannel();
      new HeapSnapshot.SecondaryInitManager(channel.port2);
      const snapshot = await loader.buildSnapshot(channel.port1);
      const counts: Record<string, number> = {};
      for (const [key, { count, name }] of Object.entries<any>(snapshot.getAggregatesByClassKey(false))) counts[name ?? key] = count;
      return { totalBytes: snapshot.totalSize, counts };
    });
  }

  async #parse<T>(file: string, parse: (input: any, parsers: any) => Promise<T>): Promise<T> {
    await this.#page.setInputFiles('#sonde-file', file);
    return this.#page.locator('#sonde-file').evaluate(parse, await this.#page.evaluateHandle('parsers'));
  }
}
