// Puts together the push of profiles: the engine's readers, the encodings, the receivers that the configuration names. Called
// by sdk.ts once the profilers run; everything for it is loaded here, and only when there is a receiver.
import type { Config } from './config.ts';
import type { Clock } from './core/clock.ts';
import type { Diag } from './core/diag.ts';
import type { Guard } from './core/guard.ts';
import type { ProcessResource } from './core/resource.ts';
import { VERSION } from './core/version.ts';
import type { ProfileExporter } from './export/profile-exporter.ts';
import type { ProfileEngine } from './profile/engine.ts';
import { distinctName } from './profile/frame.ts';

export interface ProfilePushDeps {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  readonly resource: ProcessResource;
  readonly engine: ProfileEngine;
}

/** Whether profiles are to be pushed. */
export function pushesProfiles({ profiling, pyroscope, otlpProfiles }: Config): boolean {
  return profiling && (pyroscope !== undefined || otlpProfiles !== undefined);
}

/** The exporters that the configuration asks for, each with a reader of its own; they push from now on. */
export async function startProfilePush(config: Config, deps: ProfilePushDeps): Promise<readonly ProfileExporter[]> {
  if (!pushesProfiles(config)) return [];
  const [{ PushSource }, { encodePprof }, { split }] = await Promise.all([
    import('./profile/push-source.ts'),
    import('./profile/pprof.ts'),
    import('./profile/split.ts'),
  ]);
  const { engine, resource } = deps;
  const exporters: ProfileExporter[] = [];
  if (config.pyroscope !== undefined) {
    const { pyroscopeExporter } = await import('./export/pyroscope.ts');
    const format = { split, encode: encodePprof };
    exporters.push(pyroscopeExporter(config.pyroscope, { ...deps, source: new PushSource(engine), resource, pprof: format }));
  }
  if (config.otlpProfiles !== undefined) {
    const { otlpProfilesExporter } = await import('./export/otlp-profiles.ts');
    const scope = { name: 'sonde', version: VERSION };
    exporters.push(
      otlpProfilesExporter(config.otlpProfiles, { ...deps, source: new PushSource(engine), resource, scope, functionName: distinctName }),
    );
  }
  for (const exporter of exporters) exporter.start();
  return exporters;
}
