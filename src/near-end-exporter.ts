// A program of its own, started by V8's last callback in a process that runs out of heap (profile/native.ts), which waits for
// it and then ends: `node near-end-exporter.js <directory> <base> <profile>`. Completes the evidence from the state that
// the process has left and the profile of its live heap, which is in V8's own form. Takes some 100 ms, most of it Node's start.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { StderrDiag } from './core/diag.ts';
import { VERSION } from './core/version.ts';
import { evidenceText, type Evidence } from './leak/evidence.ts';
import { EvidenceDirectory, startTicksOf } from './leak/evidence-directory.ts';
import { heaviestFunctions } from './profile/heaviest.ts';
import { encodePprof } from './profile/pprof.ts';
import type { Profile } from './profile/profile.ts';
import { type AllocationNode, fromAllocationTree } from './profile/v8.ts';

async function main([directory = '', base = '', file = '']: readonly string[]): Promise<void> {
  const diag = new StderrDiag('warn');
  const evidence = new EvidenceDirectory({ directory, diag, base });
  const nowEpochMillis = Date.now();
  // Somebody may have tidied the directory.
  const state = evidence.read() ?? unknownProcess(base, nowEpochMillis);
  const written: Evidence = {
    ...state,
    reason: 'v8-out-of-memory',
    forecastSeconds: null,
    epochMillis: nowEpochMillis,
    time: new Date(nowEpochMillis).toISOString(),
    uptimeSeconds: state.uptimeSeconds + (nowEpochMillis - state.epochMillis) / 1000,
    profile: null,
  };
  // Before the profile is looked at, which may be anything.
  evidence.write(written);
  const profile = liveHeap(readFileSync(file, 'utf8'), nowEpochMillis);
  const withHeap: Evidence = { ...written, heap: heaviestFunctions(profile) };
  const path = evidence.write(withHeap);
  diag.notice(evidenceText(withHeap, path));
  evidence.write({ ...withHeap, profile: evidence.writeProfile(await encodePprof(profile)) ?? null });
  evidence.dropState();
}

/** Of a process that has left no state: what its files are called, and that it is the one that waits. */
function unknownProcess(base: string, nowEpochMillis: number): Omit<Evidence, 'reason' | 'time' | 'profile' | 'forecastSeconds'> {
  const [, service = '', pid = ''] = /^sonde-(.+)-(\d+)-[^-]+$/.exec(base) ?? [];
  return {
    version: VERSION,
    service,
    pid: Number(pid),
    host: hostname(),
    startTicks: startTicksOf(process.ppid),
    node: process.versions.node,
    epochMillis: nowEpochMillis,
    measuredEpochMillis: nowEpochMillis,
    uptimeSeconds: 0,
    oldGeneration: { usedBytes: 0, limitBytes: 0 },
    container: null,
    memoryUsage: { rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 },
    verdict: null,
    heap: [],
    requests: [],
  };
}

/** The period is not known here; nothing but the head of the profile says it. */
function liveHeap(text: string, startEpochMillis: number): Profile {
  return fromAllocationTree(JSON.parse(escaped(text)) as AllocationNode, 0, { startEpochMillis, intervalBytes: 1 });
}

/** The addon writes names as they are; those of functions and scripts may hold quotes, backslashes and line ends. */
function escaped(text: string): string {
  return text.replaceAll(
    /"name":"(.*?)","scriptName":"(.*?)","scriptId":/gs,
    (_, name: string, script: string) => `"name":${JSON.stringify(name)},"scriptName":${JSON.stringify(script)},"scriptId":`,
  );
}

// What fails here has nobody to tell but stderr, and its parent is about to die with a message of its own.
main(process.argv.slice(2)).catch(() => {
  process.exitCode = 1;
});
