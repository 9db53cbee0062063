// The process as the operating system sees it: CPU, memory, descriptors, threads, age. Read once a scrape.
// Linux has /proc/self; what only it knows is left out elsewhere. No reading waits for the thread pool: during a DNS
// outage all four threads sit in getaddrinfo for seconds, and the page is needed exactly then.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Clock } from '../core/clock.ts';
import type { Guard, Timer } from '../core/guard.ts';
import type { Collector, Family, NumberPoint } from './family.ts';

/** `process.cpu.utilization` covers the last one to two of these, whoever reads and how often. */
const WINDOW_MILLIS = 30_000;

/** Everything of one moment, for both sets of names. */
export interface ProcessReading {
  /** Since the process started. */
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  /** Shares of all CPUs the process may use over the last 30 to 60 s, 0 to 1. */
  readonly cpuUserUtilization: number;
  readonly cpuSystemUtilization: number;
  readonly rssBytes: number;
  readonly uptimeSeconds: number;
  /** Unix time. */
  readonly startEpochSeconds: number;
  readonly linux: LinuxReading | undefined;
}

/** What /proc/self tells. */
export interface LinuxReading {
  readonly virtualBytes: number;
  readonly dataBytes: number;
  readonly threads: number;
  /** `undefined` until the first count of an old kernel has arrived. */
  readonly openDescriptors: number | undefined;
  /** `Infinity` for unlimited. */
  readonly maxDescriptors: number;
}

interface CpuMark {
  readonly monotonicMillis: number;
  readonly usage: NodeJS.CpuUsage;
}

export interface ProcessMetricsOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  /** Where Linux tells about the process; a test may name a copy. Defaults to `/proc/self`. */
  readonly procDirectory?: string;
}

export class ProcessMetrics {
  readonly #guard: Guard;
  readonly #clock: Clock;
  readonly #procDirectory: string;
  readonly #hasProc: boolean;
  readonly #startEpochSeconds: number;
  #windowRead: CpuMark;
  #windowNext: CpuMark;
  #countedDescriptors: number | undefined;
  #timer: Timer | undefined;
  #last: ProcessReading | undefined;

  constructor({ guard, clock, procDirectory = '/proc/self' }: ProcessMetricsOptions) {
    this.#guard = guard;
    this.#clock = clock;
    this.#procDirectory = procDirectory;
    this.#hasProc = existsSync(`${procDirectory}/status`);
    this.#startEpochSeconds = clock.epochMillis(clock.monotonicMillis()) / 1000 - process.uptime();
    this.#windowRead = this.#mark();
    this.#windowNext = this.#windowRead;
  }

  /** Starts the window of the CPU utilisation. */
  start(): void {
    this.#timer = this.#guard.every('process-window', WINDOW_MILLIS, () => {
      this.#windowRead = this.#windowNext;
      this.#windowNext = this.#mark();
    });
  }

  stop(): void {
    this.#timer?.stop();
  }

  /** The reading that `collector` took last, so that nothing is measured twice in a scrape. */
  get last(): ProcessReading | undefined {
    return this.#last;
  }

  /** Reads the process; for the Registry. */
  readonly collector: Collector = () => {
    const reading = this.#read();
    this.#last = reading;
    return [...cpuFamilies(reading), ...memoryFamilies(reading), ...linuxFamilies(reading.linux), uptimeFamily(reading)];
  };

  #mark(): CpuMark {
    return { monotonicMillis: this.#clock.monotonicMillis(), usage: process.cpuUsage() };
  }

  #read(): ProcessReading {
    const { monotonicMillis, usage } = this.#mark();
    const since = this.#windowRead;
    const availableMicros = Math.max(1, (monotonicMillis - since.monotonicMillis) * 1000) * availableParallelism();
    return {
      cpuUserSeconds: usage.user / 1e6,
      cpuSystemSeconds: usage.system / 1e6,
      cpuUserUtilization: (usage.user - since.usage.user) / availableMicros,
      cpuSystemUtilization: (usage.system - since.usage.system) / availableMicros,
      rssBytes: process.memoryUsage.rss(),
      uptimeSeconds: process.uptime(),
      startEpochSeconds: this.#startEpochSeconds,
      linux: this.#hasProc ? this.#readLinux() : undefined,
    };
  }

  // Synchronous: the kernel writes these files from memory, 0.1 ms each.
  #readLinux(): LinuxReading {
    const status = readFileSync(`${this.#procDirectory}/status`, 'latin1');
    const limits = readFileSync(`${this.#procDirectory}/limits`, 'latin1');
    const limit = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
    return {
      virtualBytes: statusNumber(status, 'VmSize') * 1024,
      dataBytes: statusNumber(status, 'VmData') * 1024,
      threads: statusNumber(status, 'Threads'),
      openDescriptors: this.#openDescriptors(),
      maxDescriptors: limit === 'unlimited' ? Infinity : Number(limit),
    };
  }

  #openDescriptors(): number | undefined {
    // Since Linux 6.2 the size of the directory is the count, for 7 us. Before, it is 0 and the entries must be counted,
    // 4 us each: that happens beside us, and the count of the scrape before is told.
    const { size } = statSync(`${this.#procDirectory}/fd`);
    if (size > 0) return size;
    void this.#guard.runAsync('process-descriptors', () => this.#countDescriptors());
    return this.#countedDescriptors;
  }

  async #countDescriptors(): Promise<void> {
    const entries = await readdir(`${this.#procDirectory}/fd`);
    // One of them is the descriptor that reads the directory.
    this.#countedDescriptors = entries.length - 1;
  }
}

function statusNumber(status: string, key: string): number {
  const start = status.indexOf(`${key}:`) + key.length + 1;
  return Number.parseInt(status.slice(start, start + 24), 10);
}

function cpuFamilies(reading: ProcessReading): Family[] {
  const byMode = (user: number, system: number): NumberPoint[] => [
    { labels: { 'cpu.mode': 'user' }, value: user },
    { labels: { 'cpu.mode': 'system' }, value: system },
  ];
  return [
    {
      type: 'counter',
      name: 'process.cpu.time',
      unit: 's',
      description: 'Total CPU seconds broken down by mode.',
      points: byMode(reading.cpuUserSeconds, reading.cpuSystemSeconds),
    },
    {
      type: 'gauge',
      name: 'process.cpu.utilization',
      unit: '1',
      description: 'Share of the CPUs available to the process that it used over the last 30 to 60 seconds.',
      points: byMode(reading.cpuUserUtilization, reading.cpuSystemUtilization),
    },
  ];
}

function memoryFamilies({ rssBytes, linux }: ProcessReading): Family[] {
  const families: Family[] = [
    {
      type: 'updowncounter',
      name: 'process.memory.usage',
      unit: 'By',
      description: 'The amount of physical memory in use.',
      points: only(rssBytes),
    },
  ];
  if (linux === undefined) return families;
  families.push({
    type: 'updowncounter',
    name: 'process.memory.virtual',
    unit: 'By',
    description: 'The amount of committed virtual memory.',
    points: only(linux.virtualBytes),
  });
  return families;
}

function linuxFamilies(linux: LinuxReading | undefined): Family[] {
  if (linux === undefined) return [];
  return [
    {
      type: 'updowncounter',
      name: 'process.thread.count',
      unit: '{thread}',
      description: 'Process threads count.',
      points: only(linux.threads),
    },
    {
      type: 'updowncounter',
      name: 'process.unix.file_descriptor.count',
      unit: '{file_descriptor}',
      description: 'Number of unix file descriptors in use by the process.',
      points: linux.openDescriptors === undefined ? [] : only(linux.openDescriptors),
    },
    {
      type: 'gauge',
      // No convention names the limit, so the name is ours.
      name: 'sonde.process.file_descriptor.limit',
      unit: '{file_descriptor}',
      description: 'Number of unix file descriptors that the process may have open.',
      points: only(linux.maxDescriptors),
    },
  ];
}

function uptimeFamily(reading: ProcessReading): Family {
  return {
    type: 'gauge',
    name: 'process.uptime',
    unit: 's',
    description: 'The time the process has been running.',
    points: only(reading.uptimeSeconds),
  };
}

function only(value: number): NumberPoint[] {
  return [{ labels: {}, value }];
}
