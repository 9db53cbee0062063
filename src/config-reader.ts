// How one setting is read: from an option, else from the first of its variables that is set, else the default; and what is
// wrong with it. Called by config.ts and config-pyroscope.ts with the environment that config.ts hands them.
import type { ConfigProblem } from './options.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const BOOLEAN = 'true or false';

/** Reads settings by name and collects what is wrong with them. */
export class Reader {
  readonly problems: ConfigProblem[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** The first of the variables that is set, with its name. */
  #first(names: readonly string[]): { name: string; value: string } | undefined {
    for (const name of names) {
      const value = this.#env[name]?.trim();
      if (value !== undefined && value !== '') return { name, value };
    }
    return undefined;
  }

  /**
   * The option when it is given, else the first variable that is set, else the default; a value that `parse` answers
   * with undefined is a problem and the default is used.
   */
  read<T>(
    option: [name: string, value: T | undefined] | undefined,
    names: readonly string[],
    parse: (text: string) => T | undefined,
    accepted: string,
    fallback: T,
  ): T {
    const given = option?.[1];
    const set = given === undefined ? this.#first(names) : { name: `options.${option![0]}`, value: String(given) };
    if (set === undefined) return fallback;
    const parsed = parse(set.value);
    if (parsed !== undefined) return parsed;
    this.problem(set.name, set.value, accepted);
    return fallback;
  }

  problem(name: string, value: string, accepted: string): void {
    // A variable for both signals is read for each of them.
    if (!this.problems.some((known) => known.name === name)) this.problems.push({ name, value, accepted });
  }

  text(option: [string, string | undefined] | undefined, ...names: string[]): string | undefined {
    const given: unknown = option?.[1];
    if (given === undefined || typeof given === 'string')
      return this.read<string | undefined>(option, names, (text) => text, 'text', undefined);
    this.problem(`options.${option![0]}`, String(given), 'text');
    return undefined;
  }

  flag(option: [string, boolean | undefined] | undefined, names: readonly string[], fallback: boolean): boolean {
    return this.read(option, names, parseBoolean, BOOLEAN, fallback);
  }

  integer(
    option: [string, number | undefined] | undefined,
    names: readonly string[],
    [min, max]: readonly [number, number],
    fallback: number,
  ): number {
    return this.read(option, names, (text) => parseInteger(text, min, max), `a whole number from ${min} to ${max}`, fallback);
  }

  oneOf<T extends string>(option: [string, T | undefined] | undefined, names: readonly string[], values: readonly T[], fallback: T): T {
    return this.read(
      option,
      names,
      (text) => values.find((value) => value === text.toLowerCase()),
      `one of ${values.join(', ')}`,
      fallback,
    );
  }
}

function parseBoolean(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : undefined;
}

function parseInteger(text: string, min: number, max: number): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** An http or https URL as it was given. */
export function parseUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  return /^https?:$/.test(new URL(text).protocol) ? text : undefined;
}

/** What is between commas; undefined when that is nothing. */
export function parseList(text: string): string[] | undefined {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  return items.length === 0 ? undefined : items;
}

/** `key=value` pairs between commas, percent-encoded. */
export function parsePairs(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  for (const item of parseList(text) ?? []) {
    const equals = item.indexOf('=');
    if (equals <= 0) return undefined;
    try {
      pairs[decodeURIComponent(item.slice(0, equals).trim())] = decodeURIComponent(item.slice(equals + 1).trim());
    } catch {
      return undefined;
    }
  }
  return pairs;
}
