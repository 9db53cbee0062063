// A Set against duplicates: every message that has ever been seen, with all that was in it.
const seen = new Set();

class Deduplicator {
  accept(number) {
    const message = { number, items: Array.from({ length: 780 }, (_, item) => ({ item, amount: item * 0.2 })) };
    seen.add(message); // leaks
  }
}

module.exports = {
  about: 'every message kept in a Set by a method of a class; a background job',
  leaks: { kinds: ['heap'], function: ['accept'], bytesPerUnit: 50_000 },
  background(plan) {
    const deduplicator = new Deduplicator();
    plan.eachMessage((number) => deduplicator.accept(number));
  },
};
