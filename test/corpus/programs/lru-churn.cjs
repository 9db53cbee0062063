// An LRU cache of 5 % of the room: full within 2 s, then every miss throws the oldest entry out.
class LruCache {
  #entries = new Map();
  #capacity;

  constructor(capacity) {
    this.#capacity = capacity;
  }

  get(key, load) {
    const value = this.#entries.get(key) ?? load(key);
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#capacity) this.#entries.delete(this.#entries.keys().next().value);
    return value;
  }
}

function loadProfile(id) {
  return Array.from({ length: 310 }, (_, field) => ({ field, value: field * 0.1 + id }));
}

module.exports = {
  about: 'an LRU cache of 5 % of the room that replaces its entries all the time',
  leaks: false,
  boundShare: 0.05,
  background(plan) {
    const capacity = Math.round((plan.roomBytes * 0.05) / 20_000);
    const cache = new LruCache(capacity);
    const churn = plan.bytesPerSecond / 20_000;
    plan.repeat(
      (seconds) => (seconds < 2 ? capacity / 2 : churn),
      (key) => cache.get(key, loadProfile),
    );
  },
};
