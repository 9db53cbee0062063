// Quiet but for four bursts of a second, in which every request holds 40 kB until the burst is through.
const { setTimeout: wait } = require('node:timers/promises');

async function serveSale(id) {
  const offers = Array.from({ length: 620 }, (_, offer) => ({ offer, price: offer * 0.8 + id }));
  await wait(1500);
  return offers.length;
}

module.exports = {
  about: 'four bursts of 150 requests in a second, else 5 a second',
  leaks: false,
  boundShare: 0.07,
  route: '/sale/:id',
  requestsPerSecond: (seconds, total) => (seconds % (total / 4) < 1 ? 150 : 5),
  handle: ({ id }) => serveSale(id),
};
