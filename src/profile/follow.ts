// Stand-in for ProfileEngine.follow(), by reading the ring: the windows that have ended since it was read before. It misses
// what the ring drops, and at the end the last 0.9 s, which the ring does not cut. sdk.ts hands it to the pushers.
import type { TimeRead } from './engine.ts';
import { ProfileBuilder, type Profile } from './profile.ts';
import type { Follower } from './push-source.ts';
import { RING_SECONDS } from './window-ring.ts';

interface RingReader {
  cpu(read: TimeRead): Promise<Profile>;
  wall(read: TimeRead): Promise<Profile>;
}

/** Follows from now on; `nowEpochMillis` is the clock of the windows. Rejects with ProfileError when there is nothing yet. */
export function follow(engine: RingReader, nowEpochMillis: () => number): Follower {
  let sinceMillis = nowEpochMillis();
  return {
    stop: () => {},
    take: async () => {
      const lastSeconds = Math.min((nowEpochMillis() - sinceMillis) / 1000, RING_SECONDS);
      if (lastSeconds <= 0) return undefined;
      // Both look at the ring when they are called, the second without another cut.
      const reads = [engine.cpu({ lastSeconds }), engine.wall({ lastSeconds })] as const;
      const readMillis = nowEpochMillis();
      const [cpu, wall] = await Promise.all(reads);
      sinceMillis = readMillis;
      return combine(cpu, wall);
    },
  };
}

/** A row without wall time has no hits, so that its samples are none. */
function combine(cpu: Profile, wall: Profile): Profile {
  const builder = new ProfileBuilder(3);
  add(builder, wall, [0, 2]);
  add(builder, cpu, [undefined, 1]);
  return builder.build({ ...cpu, sampleTypes: [...cpu.sampleTypes, wall.sampleTypes[1]!] });
}

function add(builder: ProfileBuilder, profile: Profile, columns: readonly (number | undefined)[]): void {
  const nodes = new Int32Array(profile.parents.length);
  for (let i = 0; i < nodes.length; i++) {
    const parent = profile.parents[i]!;
    nodes[i] = builder.node(parent === -1 ? -1 : nodes[parent]!, builder.addFrame(profile.frames[profile.nodeFrames[i]!]!));
  }
  for (let row = 0; row < profile.sampleNodes.length; row++) {
    const labels = builder.labels(profile.labelSets[profile.sampleLabels[row]!]!);
    for (const [from, to] of columns.entries()) {
      if (to !== undefined) builder.add(nodes[profile.sampleNodes[row]!]!, to, profile.values[row * columns.length + from]!, labels);
    }
  }
}
