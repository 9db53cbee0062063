// Rows are gathered, written out and let go, five times in the run: a sawtooth of 6 % of the room.
const written = { rows: 0 };

module.exports = {
  about: 'batches of 6 % of the room, gathered and let go five times',
  leaks: false,
  boundShare: 0.06,
  background(plan) {
    let batch = [];
    function gather(number) {
      batch.push({ number, cells: Array.from({ length: 160 }, (_, cell) => ({ cell, value: cell * 1.7 })) });
    }
    function writeOut() {
      written.rows += batch.length;
      batch = [];
    }
    const periodSeconds = plan.seconds / 5;
    plan.repeat((plan.roomBytes * 0.06) / 10_000 / periodSeconds, gather);
    plan.repeat(1 / periodSeconds, writeOut);
  },
};
