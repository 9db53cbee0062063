// Finds what a logging library shares among all its loggers but does not export. Called with a logger made for the
// purpose, silent and thrown away.

/** The object on the prototype chain of `instance` that has the property itself; throws when there is none. */
export function prototypeWith(instance: object, property: PropertyKey): object {
  let prototype: object | null = Object.getPrototypeOf(instance);
  while (prototype !== null && !Object.hasOwn(prototype, property)) prototype = Object.getPrototypeOf(prototype);
  if (prototype === null) throw new Error(`no prototype of its loggers has ${String(property)}`);
  return prototype;
}
