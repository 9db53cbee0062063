// Counts live objects by class, and finds the EventEmitters with most listeners and the largest collections. Called by
// class-histogram.ts with all objects of the heap at once, while the process stands still. It runs nothing of the
// application's: no getter, no proxy, no iterator. It answers names and numbers, never keys, values or texts, because
// those hold secrets: an event's name is told only where it looks like a word of the program.
import { EventEmitter } from 'node:events';
import { types } from 'node:util';

interface ClassCount {
  readonly className: string;
  readonly count: number;
}

/** Listeners of one event of one object. */
interface ListenerCount {
  readonly className: string;
  /** `(other)` where the name may be data. */
  readonly event: string;
  readonly listeners: number;
  /** Names of the first listeners, each once. */
  readonly names: readonly string[];
}

interface CollectionSize {
  /** `Object` is a plain object that is used as a map. */
  readonly kind: 'Map' | 'Set' | 'Array' | 'Object';
  readonly className: string;
  readonly size: number;
  /** Class of the first key, or its type where it is no object; of a Set nothing but its value. */
  readonly keyType: string;
  readonly valueType: string;
}

export interface ClassCensus {
  readonly objects: number;
  /** Most first. */
  readonly classes: readonly ClassCount[];
  /** What is beyond the number of classes told. */
  readonly otherClasses: number;
  readonly otherObjects: number;
  readonly emitters: readonly ListenerCount[];
  readonly collections: readonly CollectionSize[];
}

/** A program has thousands of classes with a handful of objects each; what leaks is among the first. */
const CLASSES_MAX = 100;
const EMITTERS_MAX = 20;
const COLLECTIONS_MAX = 20;

/** Smaller ones are no news; a plain object with fewer keys is a record, not a map. */
const COLLECTION_MIN = 100;

/** More than this Node warns of as a possible leak (MaxListenersExceededWarning). */
const LISTENERS_NORMAL = 10;

const LISTENER_NAMES_MAX = 3;
const NAME_MAX = 80;

/** A word of a program: digits are rare there, and usual in what identifies somebody. */
const EVENT_NAME = /^(?!(?:.*\d){4})[A-Za-z_$][\w$:./-]{0,39}$/;

/** What all objects with one prototype have in common. */
interface Shape {
  readonly prototype: object;
  readonly kind: 'Map' | 'Set' | 'Array' | 'Object' | 'emitter' | 'target' | 'other';
  count: number;
}

/** The census of these objects, which have Object.prototype in their chain; 0.1 s for a million. */
export function classCensus(objects: ArrayLike<object>): ClassCensus {
  const shapes = new Map<object, Shape>();
  const emitters = new Largest<ListenerCount>(EMITTERS_MAX);
  const collections = new Largest<CollectionSize>(COLLECTIONS_MAX);
  let prototype: object | undefined;
  let shape: Shape | undefined;
  for (let i = 0; i < objects.length; i++) {
    const object = objects[i] as object;
    if (types.isProxy(object)) continue;
    const own = Object.getPrototypeOf(object) as object | null;
    if (own === null) continue;
    // Neighbours are often alike.
    if (own !== prototype || shape === undefined) {
      prototype = own;
      shape = shapes.get(own) ?? newShape(shapes, own);
    }
    shape.count += 1;
    if (shape.kind === 'other') continue;
    if (shape.kind === 'emitter') offerEmitter(emitters, object);
    else if (shape.kind === 'target') offerTarget(emitters, object);
    else offerCollection(collections, shape.kind, object);
  }
  return { objects: objects.length, ...countsByClass(shapes), emitters: emitters.items(), collections: collections.items() };
}

/** The largest of what is offered, by size. */
class Largest<T> {
  readonly #most: number;
  readonly #entries: { readonly size: number; readonly item: T }[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether something of this size would be kept. */
  takes(size: number): boolean {
    return this.#entries.length < this.#most || size > (this.#entries.at(-1)?.size ?? 0);
  }

  add(size: number, item: T): void {
    const at = this.#entries.findIndex((entry) => entry.size < size);
    this.#entries.splice(at === -1 ? this.#entries.length : at, 0, { size, item });
    this.#entries.length = Math.min(this.#entries.length, this.#most);
  }

  items(): T[] {
    return this.#entries.map(({ item }) => item);
  }
}

function newShape(shapes: Map<object, Shape>, prototype: object): Shape {
  const shape = { prototype, kind: kindOf(prototype), count: 0 };
  shapes.set(prototype, shape);
  return shape;
}

function kindOf(prototype: object): Shape['kind'] {
  if (prototype === Object.prototype) return 'Object';
  if (inherits(prototype, EventEmitter.prototype)) return 'emitter';
  if (inherits(prototype, EventTarget.prototype)) return 'target';
  if (inherits(prototype, Map.prototype)) return 'Map';
  if (inherits(prototype, Set.prototype)) return 'Set';
  return inherits(prototype, Array.prototype) ? 'Array' : 'other';
}

/** Like isPrototypeOf, but stops at a proxy. */
function inherits(prototype: object, ancestor: object): boolean {
  for (let at: object | null = prototype; at !== null && !types.isProxy(at); at = Object.getPrototypeOf(at) as object | null) {
    if (at === ancestor) return true;
  }
  return false;
}

function countsByClass(shapes: ReadonlyMap<object, Shape>): Pick<ClassCensus, 'classes' | 'otherClasses' | 'otherObjects'> {
  const counts = new Map<string, number>();
  for (const { prototype, count } of shapes.values()) {
    const name = nameOfPrototype(prototype);
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  const classes = Array.from(counts, ([className, count]) => ({ className, count })).toSorted((a, b) => b.count - a.count);
  const others = classes.slice(CLASSES_MAX);
  return {
    classes: classes.slice(0, CLASSES_MAX),
    otherClasses: others.length,
    otherObjects: others.reduce((sum, { count }) => sum + count, 0),
  };
}

function offerEmitter(emitters: Largest<ListenerCount>, emitter: object): void {
  const events = ownValue(emitter, '_events');
  if (typeof events !== 'object' || events === null || types.isProxy(events)) return;
  for (const event of Reflect.ownKeys(events)) {
    const listeners = ownValue(events, event);
    // One listener is kept bare, and is not many.
    if (!Array.isArray(listeners) || types.isProxy(listeners)) continue;
    if (listeners.length <= LISTENERS_NORMAL || !emitters.takes(listeners.length)) continue;
    emitters.add(listeners.length, {
      className: classOf(emitter),
      event: eventName(event),
      listeners: listeners.length,
      names: listenerNames(listeners),
    });
  }
}

/** Node keeps the listeners of an EventTarget in a map under a symbol, as lists that know their size. */
function offerTarget(emitters: Largest<ListenerCount>, target: object): void {
  const symbol = Object.getOwnPropertySymbols(target).find(({ description }) => description === 'kEvents');
  const events = symbol === undefined ? undefined : ownValue(target, symbol);
  if (!types.isMap(events)) return;
  Map.prototype.forEach.call(events, (list: unknown, event: unknown) => {
    const size = typeof list === 'object' && list !== null && !types.isProxy(list) ? ownValue(list, 'size') : undefined;
    if (typeof size !== 'number' || size <= LISTENERS_NORMAL || !emitters.takes(size)) return;
    const name = typeof event === 'string' || typeof event === 'symbol' ? eventName(event) : OTHER;
    emitters.add(size, { className: classOf(target), event: name, listeners: size, names: [] });
  });
}

function offerCollection(collections: Largest<CollectionSize>, kind: CollectionSize['kind'], object: object): void {
  const size = sizeOf(kind, object);
  if (size < COLLECTION_MIN || !collections.takes(size)) return;
  collections.add(size, { kind, className: classOf(object), size, ...firstEntry(kind, object) });
}

const OTHER = '(other)';

const mapSize = sizeGetter(Map.prototype);
const setSize = sizeGetter(Set.prototype);

function sizeGetter(prototype: object): (this: object) => number {
  return Object.getOwnPropertyDescriptor(prototype, 'size')?.get as (this: object) => number;
}

/** 0 for what only inherits from such a class. */
function sizeOf(kind: CollectionSize['kind'], object: object): number {
  if (kind === 'Map') return types.isMap(object) ? mapSize.call(object) : 0;
  if (kind === 'Set') return types.isSet(object) ? setSize.call(object) : 0;
  if (kind === 'Array') return Array.isArray(object) ? object.length : 0;
  let keys = 0;
  // Most plain objects are records with few keys: Object.keys would make an array for each of them.
  // eslint-disable-next-line guard-for-in -- what is inherited is not enumerable, and an upper bound is enough here
  for (const _key in object) if (++keys >= COLLECTION_MIN) return Object.keys(object).length;
  return 0;
}

function firstEntry(kind: CollectionSize['kind'], object: object): Pick<CollectionSize, 'keyType' | 'valueType'> {
  if (kind === 'Map') {
    const [key, value] = (Map.prototype.entries.call(object).next().value ?? []) as unknown[];
    return { keyType: typeOf(key), valueType: typeOf(value) };
  }
  if (kind === 'Set') return { keyType: '', valueType: typeOf(Set.prototype.values.call(object).next().value) };
  if (kind === 'Array') return { keyType: 'number', valueType: typeOf(ownValue(object, '0')) };
  const [key = ''] = Object.keys(object);
  return { keyType: 'string', valueType: typeOf(ownValue(object, key)) };
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? classOf(value) : typeof value;
}

function classOf(object: object): string {
  if (types.isProxy(object)) return '(proxy)';
  return nameOfPrototype(Object.getPrototypeOf(object) as object | null);
}

/** Of the first prototype that has a constructor: one made by Object.create has none of its own. */
function nameOfPrototype(prototype: object | null): string {
  for (let at = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (types.isProxy(at)) return '(proxy)';
    const constructor = ownValue(at, 'constructor');
    if (typeof constructor === 'function') return types.isProxy(constructor) ? '(proxy)' : functionName(constructor);
  }
  return '(no class)';
}

function functionName(fn: object): string {
  const name = types.isProxy(fn) ? '' : ownValue(fn, 'name');
  // A computed name may be data as well, but then it stands in the program's profiles too.
  return typeof name === 'string' && name !== '' ? printable(name) : '(anonymous)';
}

function listenerNames(listeners: readonly unknown[]): string[] {
  const names = new Set<string>();
  for (let i = 0; i < listeners.length && names.size < LISTENER_NAMES_MAX; i++) {
    const listener = ownValue(listeners, String(i));
    if (typeof listener !== 'function') continue;
    // What `once` adds is a wrapper that has the listener.
    const inner = types.isProxy(listener) ? undefined : ownValue(listener, 'listener');
    names.add(functionName(typeof inner === 'function' ? inner : listener));
  }
  return [...names];
}

function eventName(event: string | symbol): string {
  if (typeof event === 'symbol') return `Symbol(${EVENT_NAME.test(event.description ?? '') ? event.description : OTHER})`;
  return EVENT_NAME.test(event) ? event : OTHER;
}

/** The value of an own property; undefined where there is none, or a getter. */
function ownValue(object: object, key: string | symbol): unknown {
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}

function printable(name: string): string {
  return name.replace(/[^\x20-\x7e\u00a0-\u2027\u2030-\uffff]+/g, ' ').slice(0, NAME_MAX);
}
