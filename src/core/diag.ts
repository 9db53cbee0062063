// What Sonde says about itself: one line on stderr, once per key, or as often as its caller allows. Nobody else writes to the console.
// The descriptor is written directly, because a stream whose reader has gone emits an error event that
// would end the application, and because console may be wrapped for log correlation.
import { writeSync } from 'node:fs';

/** How much Sonde says, from `OTEL_LOG_LEVEL`. */
export type DiagLevel = 'none' | 'error' | 'warn' | 'info' | 'debug';

const ORDER: readonly DiagLevel[] = ['none', 'error', 'warn', 'info', 'debug'];

/** Distinct keys remembered, so that a key made of changing text cannot grow without end. */
const KEYS_MAX = 256;

export interface Diag {
  /** Writes one line `sonde: <message>`, once per key for the life of the process. */
  warn(key: string, message: string): void;
  /** Writes one line at level `warn`, each time; who calls sees to it that it is not often. */
  notice(message: string): void;
  /** Writes one line at level `info`, each time. */
  info(message: string): void;
  /** Writes one line at level `debug`, each time. */
  debug(message: string): void;
  /** Writes the start line, as it is, at every level but `none`. */
  announce(line: string): void;
}

/** Writes a line to a file descriptor; a descriptor that cannot be written to is ignored. */
function writeLine(line: string): void {
  try {
    writeSync(2, `${line}\n`);
  } catch {
    // Closed, full or read-only: there is nowhere left to say so.
  }
}

/** Diagnostics on stderr. */
export class StderrDiag implements Diag {
  readonly #level: number;
  readonly #write: (line: string) => void;
  readonly #said = new Set<string>();

  constructor(level: DiagLevel, write: (line: string) => void = writeLine) {
    this.#level = ORDER.indexOf(level);
    this.#write = write;
  }

  warn(key: string, message: string): void {
    if (this.#level < ORDER.indexOf('warn') || this.#said.has(key) || this.#said.size >= KEYS_MAX) return;
    this.#said.add(key);
    this.#write(`sonde: ${message}`);
  }

  notice(message: string): void {
    if (this.#level >= ORDER.indexOf('warn')) this.#write(`sonde: ${message}`);
  }

  info(message: string): void {
    if (this.#level >= ORDER.indexOf('info')) this.#write(`sonde: ${message}`);
  }

  debug(message: string): void {
    if (this.#level >= ORDER.indexOf('debug')) this.#write(`sonde: ${message}`);
  }

  announce(line: string): void {
    if (this.#level > 0) this.#write(line);
  }
}
