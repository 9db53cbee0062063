// What keeps the event loop alive, as a profile: Node's counterpart of Go's goroutine profile. Called by serve/.
import { type Profile, ProfileBuilder, type ValueType } from './profile.ts';

const RESOURCES: ValueType = { type: 'resources', unit: 'count' };

/** One row per type of resource, as `process.getActiveResourcesInfo()` names them; no stacks, as Node keeps none. */
export function resourcesProfile(names: readonly string[], startEpochMillis: number): Profile {
  const builder = new ProfileBuilder(1);
  for (const name of names) builder.add(builder.node(-1, builder.frame(name, '', 0)), 0, 1);
  return builder.build({
    sampleTypes: [RESOURCES],
    defaultSampleType: RESOURCES.type,
    periodType: RESOURCES,
    period: 1,
    startEpochMillis,
    durationMillis: 0,
  });
}
