// What the samplers of creations name in real processes, on every Node: needs collections, so each in a child.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CreationGroup } from '../../../src/leak/creations.ts';
import type { ResourceGroup } from '../../../src/leak/resource-creations.ts';
import { bundle, type Bundle } from '../../helpers/bundle.ts';
import { MAJORS, nodeBinary } from '../../helpers/nodes.mjs';
import { ROOT, runToEnd } from '../../helpers/process.ts';

let program: Bundle;

beforeAll(async () => {
  program = await bundle(`${ROOT}/test/fixtures/leak/creations.ts`);
});

afterAll(() => program.remove());

async function answer<T>(major: number, scenario: string): Promise<T> {
  const args = ['--expose-gc', program.file, scenario];
  const { code, stdout, stderr } = await runToEnd({ node: nodeBinary(major), args });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

describe.each(MAJORS as number[])('on Node %i', (major) => {
  it('Buffers that stay name who created them, by what they hold, and those that went nobody', async () => {
    const groups = await answer<CreationGroup[]>(major, 'buffers');
    expect(groups.map(({ site }) => site?.function).slice(0, 2)).toEqual(['keepPart', 'keepSmall']);
    expect(groups.find(({ site }) => site?.function === 'dropLarge')).toBeUndefined();
    const [large, small] = groups;
    // The root of 64 MiB in samples of 512 KiB, and of 8 MB; three of them.
    expect(Math.abs(large!.bytes - 64 * 2 ** 20)).toBeLessThan(3 * Math.sqrt(64 * 2 ** 20 * 2 ** 19));
    expect(Math.abs(small!.bytes - 8_192_000)).toBeLessThan(3 * Math.sqrt(8_192_000 * 2 ** 19));
    expect(large!.site!.file).toBe(program.file);
  });

  it('a small Buffer that keeps its slab is told with what it keeps', async () => {
    const { groups, bytes } = await answer<{ groups: CreationGroup[]; bytes: number }>(major, 'pinned');
    expect(groups).toMatchObject([{ site: { function: 'keepToken' }, share: 1 }]);
    // Half as many tokens as slabs: 1,000 of 64 KiB, of which 250 are sampled, or 8,000 of 8 KiB.
    expect(groups[0]!.bytes / bytes).toBeGreaterThan(0.75);
    expect(groups[0]!.bytes / bytes).toBeLessThan(1.25);
  });

  it('timers that run on name who set them; cleared, fired and unref’d ones count for nothing', async () => {
    const groups = await answer<ResourceGroup[]>(major, 'timers');
    expect(groups).toMatchObject([{ site: { function: 'poll', file: program.file }, note: '', share: 1 }]);
    expect(groups[0]!.count).toBeGreaterThanOrEqual(100);
  });

  it('connections name who opened them, and those accepted the address', async () => {
    const told = await answer<{ sockets: ResourceGroup[]; servers: ResourceGroup[]; port: number }>(major, 'sockets');
    expect(told.sockets).toHaveLength(2);
    const note = `accepted by the server on 127.0.0.1:${told.port}`;
    expect(told.sockets).toContainEqual(expect.objectContaining({ site: null, note, stack: [], leaves: [], share: 0.5 }));
    expect(told.sockets.find(({ site }) => site?.function === 'dial')).toMatchObject({ note: '', share: 0.5 });
    expect(told.servers[0]!.site).toMatchObject({ function: 'sockets' });
  });

  it('a hook that is switched in the middle of promises leaves them alone', async () => {
    expect(await answer(major, 'bursts')).toEqual({ sum: 9900, isRunning: false });
  });
});
