// Profile engines on the real addon and the real inspector, in this process; stopped by `stopEngines` after each test.
import { SystemClock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { ProfileEngine, type ProfileEngineOptions } from '../../src/profile/engine.ts';

const engines: ProfileEngine[] = [];

/** What the engines have said. */
export const lines: string[] = [];

export function createEngine(options: Partial<ProfileEngineOptions> = {}): ProfileEngine {
  const diag = new StderrDiag('warn', (line) => lines.push(line));
  const engine = new ProfileEngine({
    guard: new Guard(diag),
    diag,
    clock: new SystemClock(),
    cpu: true,
    heap: true,
    hz: 99,
    heapIntervalBytes: 524_288,
    history: { seconds: 900, bytes: 8e6 },
    budget: { cpu: 1, bytes: 1e9 },
    ownDirectory: '/nowhere',
    ...options,
  });
  engines.push(engine);
  return engine;
}

export async function startEngine(options: Partial<ProfileEngineOptions> = {}): Promise<ProfileEngine> {
  const engine = createEngine(options);
  await engine.start();
  return engine;
}

export function stopEngines(): void {
  for (const engine of engines.splice(0)) engine.stop();
  lines.length = 0;
}
