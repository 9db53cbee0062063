// Run as a process of its own by admin.test.ts: serves until standard input ends, and then has nothing left to do.
import { Guard } from '../../../src/core/guard.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import type { ProfileReads } from '../../../src/serve/pprof.ts';
import { wideProfile } from '../../fixtures/profile/wide.ts';
import { endpointsOf, heapProfile, Said } from './fixture.ts';

const { diag } = new Said();
const guard = new Guard(diag);
const later = (): ReturnType<ProfileReads['cpu']> => new Promise((resolve) => guard.after('profile', 30_000, () => resolve(heapProfile())));
const endpoints = endpointsOf({
  guard,
  profiles: {
    cpu: later,
    wall: later,
    heap: later,
    allocs: async () => wideProfile({ shared: 20, labels: false }),
    stats: () => ({ cpu: 'continuous', heap: 'native', historySeconds: 900 }),
  },
});
const admin = new AdminServer(endpoints, { host: '127.0.0.1', port: 0, portIsExplicit: true }, { guard, diag });
void admin.listen().then((address) => process.stdout.write(`${address?.url}\n`));
process.stdin.resume();
