// Traffic that grows tenfold over most of the run; each request holds 40 kB for a second while it waits for another server.
const { setTimeout: wait } = require('node:timers/promises');

async function serveFeed(id) {
  const posts = Array.from({ length: 620 }, (_, position) => ({ position, score: position / 3 + id }));
  await wait(1000);
  return posts.length;
}

module.exports = {
  about: 'requests that hold 40 kB for 1 s, from 10 to 100 a second',
  leaks: false,
  boundShare: 0.05,
  route: '/feed/:id',
  requestsPerSecond: (seconds, total) => 10 + 90 * Math.min(1, seconds / (total * 0.8)),
  handle: ({ id }) => serveFeed(id),
};
