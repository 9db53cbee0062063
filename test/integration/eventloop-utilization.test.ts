// The event loop's utilization while the process is profiled: each sample interrupts a wait, of which Node then counts only the rest.
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { nodeBinary } from '../helpers/nodes.mjs';
import { APPS, killAll, startService, type Service } from '../helpers/process.ts';

const PACED = path.resolve(APPS, '../profile/paced.cjs');

afterEach(killAll);

interface LoopSeconds {
  readonly active: number;
  readonly idle: number;
}

async function loopSeconds(service: Service): Promise<LoopSeconds> {
  const metrics = await service.read('/metrics');
  const of = (state: string): number =>
    Number(new RegExp(`^nodejs_eventloop_time_seconds_total\\{[^}]*"${state}"\\} (.*)$`, 'm').exec(metrics)?.[1]);
  return { active: of('active'), idle: of('idle') };
}

/** By the counters, over some seconds. */
async function utilizationOf(service: Service, seconds: number): Promise<number> {
  const before = await loopSeconds(service);
  await setTimeout(seconds * 1000);
  const after = await loopSeconds(service);
  const active = after.active - before.active;
  return active / (active + after.idle - before.idle);
}

async function samplingHz(service: Service): Promise<number> {
  return Number(/^sonde_profile_frequency_hertz (.*)$/m.exec(await service.read('/metrics'))?.[1]);
}

test('a service that is idle for a minute is sampled less often, one that works is not', { timeout: 120_000 }, async () => {
  const services = await Promise.all(['0', '50'].map((busy) => startService({ app: PACED, env: { APP_BUSY_MILLIS: busy } })));
  await setTimeout(75_000);
  expect(await Promise.all(services.map(samplingHz))).toEqual([19, 49]);
});

test.each([20, 24, 26])('is what the service does, and not what sampling makes of it, on Node %i', { timeout: 60_000 }, async (major) => {
  const [idle, half] = await Promise.all(
    ['0', '50'].map(async (busy) => {
      const service = await startService({ app: PACED, node: nodeBinary(major), env: { APP_BUSY_MILLIS: busy } });
      await service.sondeUrl();
      // From the start of the profiler, which is work, to the first windows.
      await utilizationOf(service, 4);
      return await utilizationOf(service, 8);
    }),
  );
  expect(idle).toBeLessThan(0.1);
  expect(half).toBeGreaterThan(0.4);
  expect(half).toBeLessThan(0.65);
});
