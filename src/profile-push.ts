// Puts together the push of profiles: the engine's readers, the encodings, the receivers that the configuration names. Loaded
// and called by sdk.ts once the profilers run, when there is a receiver.
import type { Config } from './config.ts';
import type { Clock } from './core/clock.ts';
import type { Diag } from './core/diag.ts';
import type { Guard } from './core/guard.ts';
import type { ProcessResource } from './core/resource.ts';
import { VERSION } from './core/version.ts';
import { otlpProfilesExporter } from './export/otlp-profiles.ts';
import type { ProfileExporter } from './export/profile-exporter.ts';
import { pyroscopeExporter } from './export/pyroscope.ts';
import type { ProfileEngine } from './profile/engine.ts';
import { distinctName } from './profile/frame.ts';
import { encodePprof } from './profile/pprof.ts';
import { PushSource } from './profile/push-source.ts';
import { split } from './profile/split.ts';

export interface ProfilePushDeps {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  readonly resource: ProcessResource;
  readonly engine: ProfileEngine;
}

/** The exporters that the configuration asks for, each with a reader of its own; they push from now on. */
export function startProfilePush({ pyroscope, otlpProfiles }: Config, deps: ProfilePushDeps): readonly ProfileExporter[] {
  const { engine } = deps;
  const exporters: ProfileExporter[] = [];
  if (pyroscope !== undefined) {
    const source = new PushSource(engine);
    exporters.push(pyroscopeExporter(pyroscope, { ...deps, source, pprof: { split, encode: encodePprof } }));
  }
  if (otlpProfiles !== undefined) {
    const source = new PushSource(engine);
    const scope = { name: 'sonde', version: VERSION };
    exporters.push(otlpProfilesExporter(otlpProfiles, { ...deps, source, scope, functionName: distinctName }));
  }
  for (const exporter of exporters) exporter.start();
  return exporters;
}
