// Another server gets slower and slower, then recovers, twice in the run: what is in flight grows up to twentyfold.
const { setTimeout: wait } = require('node:timers/promises');

async function askPartner(id, plan) {
  const lines = Array.from({ length: 620 }, (_, position) => ({ position, total: position * 1.2 + id }));
  const phase = ((plan.elapsedSeconds() / plan.seconds) * 2) % 1;
  await wait(phase < 0.7 ? 100 + (1900 * phase) / 0.7 : 100);
  return lines.length;
}

module.exports = {
  about: 'requests that hold 40 kB and take from 0.1 to 2 s, up and back twice',
  leaks: false,
  boundShare: 0.05,
  route: '/partner/:id',
  requestsPerSecond: () => 50,
  handle: ({ id, plan }) => askPartner(id, plan),
};
