// Where handles, timers and requests are created that a growing process keeps: `async_hooks` init of the wanted kinds, in
// bursts and only on suspicion. On Node 20 and 22 such a hook cannot leave promises out: a loop that does nothing but await
// takes 1.1 to 1.4 times as long with it beside an AsyncLocalStorage, 2.1 to 2.8 times without one; from 24 on, 1.0 times. So a burst
// is 0.5 s in 5 s, and a pause is stretched until what the burst cost is at most 2 % of it, at 0.1 us a resource, promises too:
// that loop then pauses for 18 s, and costs 0.8 % more with an AsyncLocalStorage and 1.6 % without.
// Kinds are those of process.getActiveResourcesInfo(), which lists what keeps the loop alive: unref'd timers and handles
// are neither in it nor told here. A connection that was accepted has no frame of JavaScript on its stack: then there is
// no site, and the note says on which address.
import { createHook, type AsyncHook } from 'node:async_hooks';
import type { Clock } from '../core/clock.ts';
import type { Guard, Timer } from '../core/guard.ts';
import type { Ownership, Site } from './site.ts';
import { captureStack } from './creation-stack.ts';
import { Creations, type Survivor } from './creations.ts';
import type { LeakLeaf } from './finding.ts';

const BURST_MILLIS = 500;
const PERIOD_MILLIS = 5000;

/** Measured 0.03 to 0.065 us for a promise, 0.1 us for what calls from C++. */
const INIT_MICROS = 0.1;

/** Of the time that a burst may cost. */
const COST_SHARE_MAX = 0.02;

/** Handles are few and small; timers of a busy service are dead when room is made. */
const ENTRIES_MAX = 2048;

/** Addresses told in a note. */
const ADDRESSES_MAX = 3;

const HOOKS_FILE = 'node:internal/async_hooks';

/** Apart, so that a failure of the first cannot keep the second from switching the hook off. */
const PART = 'resource creations';
const BURSTS_PART = 'resource creation bursts';

/** Kinds whose `async_hooks` type is not their name in capitals. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  Timeout: ['Timeout'],
  Immediate: ['Immediate'],
  TCPSocketWrap: ['TCPWRAP'],
  PipeWrap: ['PIPEWRAP', 'PIPESERVERWRAP'],
  ConnectWrap: ['TCPCONNECTWRAP', 'PIPECONNECTWRAP'],
  SendWrap: ['UDPSENDWRAP'],
  QueryReqWrap: ['QUERYWRAP'],
};

export interface ResourceCreationsOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly ownership?: Ownership;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** Resources of a kind that are alive and were created in one place. */
export interface ResourceGroup {
  /** The innermost frame of the application's, else of a library's; null where Node created it by itself. */
  readonly site: Site | null;
  /** Why there is no site; empty where there is one. */
  readonly note: string;
  readonly stack: readonly Site[];
  readonly leaves: readonly LeakLeaf[];
  /** How many were created there since the start and are alive: estimated from the bursts. */
  readonly count: number;
  /** Of all of the kind, 0 to 1. */
  readonly share: number;
}

/** What the resources of async_hooks are, as far as we ask. */
interface Resource {
  /** Of timers and immediates; `hasRef()` of one that has fired still says true. */
  readonly _destroyed?: boolean;
  /** Of a handle that was closed it says undefined. */
  hasRef?(): boolean | undefined;
  getsockname?(address: Address): number;
  getpeername?(address: Address): number;
}

interface Address {
  address?: string;
  port?: number;
}

interface Kind {
  readonly creations: Creations<Resource>;
  /** Creations until the next sample. */
  left: number;
}

/** Samples the creation of resources while it runs. The switches may be called at any time, and twice. */
export class ResourceCreations {
  readonly #options: ResourceCreationsOptions;
  readonly #note: (kind: Kind, resource: Resource) => void;
  readonly #kinds = new Map<string, Kind>();
  /** By type of async_hooks. */
  readonly #types = new Map<string, Kind>();
  #hook: AsyncHook | undefined;
  #timer: Timer | undefined;
  /** Resources of all types in this burst. */
  #inits = 0;
  #startedMillis = 0;
  #burstSinceMillis: number | undefined;
  #burstMillis = 0;

  constructor(options: ResourceCreationsOptions) {
    this.#options = options;
    const { guard, ownership = {} } = options;
    this.#note = guard.wrap(PART, (kind: Kind, resource: Resource) => {
      kind.left = kind.creations.nextGap();
      // The function of Node that calls the hook is at the top of each.
      const stack = captureStack(this.#init, ownership).filter(({ file }) => file !== HOOKS_FILE);
      kind.creations.add(resource, 1, stack);
    });
  }

  get isRunning(): boolean {
    return this.#hook !== undefined;
  }

  /** Begins with these kinds, as process.getActiveResourcesInfo() names them, and nothing known; does nothing while it runs. */
  start(kinds: readonly string[]): void {
    if (this.#hook !== undefined) return;
    const { clock, random = Math.random } = this.#options;
    this.#kinds.clear();
    this.#types.clear();
    for (const name of kinds) {
      const creations = new Creations<Resource>({ clock, random, distance: 0, isAlive, entriesMax: ENTRIES_MAX });
      const kind = { creations, left: 0 };
      this.#kinds.set(name, kind);
      for (const type of TYPES[name] ?? [name.toUpperCase()]) this.#types.set(type, kind);
    }
    this.#burstMillis = 0;
    this.#startedMillis = clock.monotonicMillis();
    const hooks = { init: this.#init, trackPromises: false };
    this.#hook = createHook(hooks);
    this.#burst();
  }

  /** What was found so far stays readable. */
  stop(): void {
    this.#endBurst();
    this.#hook = undefined;
    this.#timer?.stop();
  }

  /** What of a kind is alive and that old, by the place that created it, most first. */
  rank(kindName: string, minAgeMillis: number): ResourceGroup[] {
    const creations = this.#kinds.get(kindName)?.creations;
    if (creations === undefined) return [];
    const scale = this.#scale();
    return creations.rank(minAgeMillis, this.#options.ownership ?? {}).map(({ site, owner, stack, leaves, count, share }) => {
      const told = { count: Math.round(count * scale), share };
      if (owner === 'application' || owner === 'library') return { site, note: '', stack, leaves, ...told };
      const alike = creations.survivors(minAgeMillis).filter((survivor) => survivor.stack === stack);
      return { site: null, note: noteOf(alike), stack, leaves: [], ...told };
    });
  }

  /** Called by Node for each new resource while a burst lasts: what it throws would end the process. */
  readonly #init = (_asyncId: number, type: string, _triggerAsyncId: number, resource: object): void => {
    this.#inits += 1;
    const kind = this.#types.get(type);
    if (kind !== undefined && --kind.left <= 0) this.#note(kind, resource);
  };

  #burst(): void {
    // Before the hook, which would see it.
    this.#timer = this.#options.guard.after(BURSTS_PART, BURST_MILLIS, () => this.#pause());
    this.#inits = 0;
    this.#burstSinceMillis = this.#options.clock.monotonicMillis();
    this.#hook?.enable();
  }

  #pause(): void {
    this.#endBurst();
    const costMillis = (this.#inits * INIT_MICROS) / 1000;
    const pauseMillis = Math.max(PERIOD_MILLIS - BURST_MILLIS, costMillis / COST_SHARE_MAX);
    this.#timer = this.#options.guard.after(BURSTS_PART, pauseMillis, () => this.#burst());
  }

  #endBurst(): void {
    if (this.#burstSinceMillis === undefined) return;
    this.#hook?.disable();
    this.#burstMillis += this.#options.clock.monotonicMillis() - this.#burstSinceMillis;
    this.#burstSinceMillis = undefined;
  }

  /** How much longer it has run than looked. */
  #scale(): number {
    const nowMillis = this.#options.clock.monotonicMillis();
    const lookedMillis = this.#burstMillis + (nowMillis - (this.#burstSinceMillis ?? nowMillis));
    return lookedMillis > 0 ? (nowMillis - this.#startedMillis) / lookedMillis : 1;
  }
}

/** Whether process.getActiveResourcesInfo() lists it. */
function isAlive(resource: Resource): boolean {
  if (resource._destroyed === true) return false;
  return typeof resource.hasRef !== 'function' || resource.hasRef() === true;
}

/** What can be said of resources that Node created with none of the application's frames on the stack. */
function noteOf(survivors: readonly Survivor<Resource>[]): string {
  if (survivors.every(({ stack }) => stack.length === 0)) {
    const local = addressesOf(survivors, 'getsockname');
    if (local !== '') return `accepted by the server on ${local}`;
  }
  // A second address of a host that is tried, a server on a host whose name was looked up first.
  const peers = addressesOf(survivors, 'getpeername');
  if (peers !== '') return `created by Node itself, connected to ${peers}`;
  const local = addressesOf(survivors, 'getsockname');
  return local === '' ? 'created by Node itself, outside of any function of the application' : `created by Node itself, on ${local}`;
}

function addressesOf(survivors: readonly Survivor<Resource>[], which: 'getsockname' | 'getpeername'): string {
  const names = new Set(survivors.map(({ object }) => addressOf(object, which)).filter((name) => name !== ''));
  return [...names].slice(0, ADDRESSES_MAX).join(', ');
}

function addressOf(resource: Resource, which: 'getsockname' | 'getpeername'): string {
  const found: Address = {};
  if (typeof resource[which] !== 'function' || resource[which](found) !== 0 || found.address === undefined) return '';
  const address = found.address.replace(/^::ffff:(?=[\d.]+$)/, '');
  return `${address.includes(':') ? `[${address}]` : address}:${found.port ?? 0}`;
}
