// A cache that fills for most of the time it is watched, up to 5 % of the room, and is full then.
const cache = new Map();

function load(id) {
  return { id, rows: Array.from({ length: 160 }, (_, position) => ({ position, price: position * 1.5 })) };
}

module.exports = {
  about: 'a cache of 5 % of the room that fills evenly for 70 % of the run',
  leaks: false,
  boundShare: 0.05,
  background(plan) {
    const capacity = Math.round((plan.roomBytes * 0.05) / 10_000);
    plan.repeat(capacity / (plan.seconds * 0.7), (id) => {
      if (cache.size < capacity) cache.set(id, load(id));
    });
  },
};
