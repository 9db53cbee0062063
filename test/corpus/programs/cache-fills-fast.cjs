// A cache that is full within seconds, of 6 % of the room, and from then on replaces one entry in a hundred requests.
const cache = new Map();

function load(id) {
  return { id, rows: Array.from({ length: 160 }, (_, position) => ({ position, price: position * 1.5 })) };
}

module.exports = {
  about: 'a cache of 6 % of the room that is full after 3 s',
  leaks: false,
  boundShare: 0.06,
  background(plan) {
    const capacity = Math.round((plan.roomBytes * 0.06) / 10_000);
    plan.repeat(capacity / 3, (id) => {
      if (cache.size < capacity) cache.set(id, load(id));
      else if (id % 100 === 0) cache.delete(cache.keys().next().value);
    });
  },
};
