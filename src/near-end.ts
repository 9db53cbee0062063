// The watch for the end of the process's memory, put together from leak/, profile/ and the requests. Called by sdk.ts when
// the process begins to serve, before the heap sampler starts: with a directory for evidence, V8's own end runs the
// exporter (near-end-exporter.ts). One per process: its limits, the directory and the signals are the process's.
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Clock } from './core/clock.ts';
import type { Diag } from './core/diag.ts';
import type { Guard } from './core/guard.ts';
import { VERSION } from './core/version.ts';
import { inFlightRequests } from './instrument/in-flight.ts';
import type { Evidence } from './leak/evidence.ts';
import { EvidenceDirectory, evidenceBase, startTicksOf } from './leak/evidence-directory.ts';
import type { HeapLimitInputs } from './leak/heap-limit.ts';
import { NearEnd, type LiveHeap, type NearEndSources } from './leak/near-end.ts';
import type { ProfileEngine } from './profile/engine.ts';
import { heaviestFunctions } from './profile/heaviest.ts';
import { encodePprof } from './profile/pprof.ts';
import type { ServerRequests } from './request.ts';

/** Takes variables of the environment away: those of Node would load the application's preloads into the exporter. */
const ENV = '/usr/bin/env';

/** V8 calls only who came last when it runs out of memory: the snapshot that was asked for would not be written. */
const OTHER_CALLBACK = /^--heapsnapshot[-_]near[-_]heap[-_]limit/;

export interface NearEndDeps {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  readonly service: string;
  readonly dumpDirectory: string | undefined;
  readonly cgroupRoot: string;
  readonly limitInputs: HeapLimitInputs;
  readonly oldGenerationLimitBytes: number;
  readonly engine: ProfileEngine;
  readonly requests: Pick<ServerRequests, 'recordOf'>;
  readonly verdict: NearEndSources['verdict'];
  readonly forecast?: NearEndSources['forecast'];
  readonly isToldOfSignals: boolean;
  readonly onEvidence: (evidence: Evidence) => void;
  readonly onDeath: (evidence: Evidence) => void;
}

export interface NearEndWatch {
  readonly nearEnd: NearEnd;
  /** For the heap sampler, to be run when V8 runs out of memory. */
  readonly outOfMemoryCommand: readonly string[] | undefined;
}

export function createNearEnd(deps: NearEndDeps): NearEndWatch {
  const { clock, requests, engine, verdict, forecast, dumpDirectory, service, limitInputs, oldGenerationLimitBytes, diag, ...rest } = deps;
  const { pid } = process;
  const base = evidenceBase({ service, pid, startEpochMillis: Date.now() - process.uptime() * 1000 });
  let directory = dumpDirectory === undefined ? undefined : new EvidenceDirectory({ directory: dumpDirectory, diag, base });
  // What cannot be written to is said today and not on the last.
  if (directory?.prepare() === false) directory = undefined;
  const sources: NearEndSources = {
    verdict,
    requests: () => inFlightRequests(requests, clock.monotonicMillis()),
    liveHeap: () => liveHeap(engine),
    ...(forecast === undefined ? {} : { forecast }),
  };
  const nearEnd = new NearEnd({
    ...rest,
    diag,
    clock,
    process: { version: VERSION, service, pid, host: hostname(), startTicks: startTicksOf(pid), node: process.versions.node },
    directory,
    keepsState: directory !== undefined,
    oldGenerationLimitBytes,
    sources,
  });
  const isShadowing = limitInputs.flags.some((flag) => OTHER_CALLBACK.test(flag));
  return { nearEnd, outOfMemoryCommand: directory === undefined || isShadowing ? undefined : exportCommand(directory) };
}

async function liveHeap(engine: ProfileEngine): Promise<LiveHeap | undefined> {
  const profile = await engine.heap({ unmapped: true });
  return {
    sites: heaviestFunctions(profile),
    finish: async () => {
      const mapped = await engine.mapped(profile);
      return { sites: heaviestFunctions(mapped), gzippedPprof: await encodePprof(mapped) };
    },
  };
}

function exportCommand({ directory, base }: EvidenceDirectory): readonly string[] {
  const exporter = [process.execPath, path.join(__dirname, 'near-end-exporter.js'), directory, base];
  return existsSync(ENV) ? [ENV, '-u', 'NODE_OPTIONS', '-u', 'NODE_V8_COVERAGE', ...exporter] : exporter;
}
