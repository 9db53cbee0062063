// A timeout and an interval per request, both cleared when it is done, 100 ms later.
const { setTimeout: wait } = require('node:timers/promises');

async function withDeadline(id) {
  const lines = Array.from({ length: 620 }, (_, position) => ({ position, total: position * 1.2 + id }));
  const deadline = setTimeout(() => lines.fill(null), 60_000);
  const progress = setInterval(() => lines.length, 1000);
  await wait(100);
  clearTimeout(deadline);
  clearInterval(progress);
  return lines.length;
}

module.exports = {
  about: 'timers per request that are cleared',
  leaks: false,
  boundShare: 0.02,
  framework: 'express',
  route: '/deadline/:id',
  handle: ({ id }) => withDeadline(id),
};
