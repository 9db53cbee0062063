// A pool of parsers that grows with the demand to its bound of 4 % of the room, during the first half of the run.
const free = [];
const stats = { made: 0 };

class Parser {
  constructor() {
    stats.made += 1;
    this.states = Array.from({ length: 310 }, (_, state) => ({ state, weight: state * 0.3 }));
  }
}

function borrow(count) {
  const parsers = free.splice(0);
  while (stats.made < count) parsers.push(new Parser());
  setImmediate(() => free.push(...parsers));
}

module.exports = {
  about: 'a pool that grows to 4 % of the room in the first half of the run',
  leaks: false,
  boundShare: 0.04,
  background(plan) {
    const capacity = Math.round((plan.roomBytes * 0.04) / 20_000);
    plan.repeat(10, () => borrow(Math.ceil(capacity * Math.min(1, plan.elapsedSeconds() / (plan.seconds / 2)))));
  },
};
