// A table that is loaded once, at a third of the run, within a second: a step of 12 % of the room, and then never more.
const table = [];

function loadChunk(count) {
  for (let row = 0; row < count; row++) table.push({ row, cells: Array.from({ length: 160 }, (_, cell) => ({ cell, value: cell * 1.3 })) });
}

module.exports = {
  about: 'a table of 12 % of the room, loaded within a second at a third of the run',
  leaks: false,
  boundShare: 0.12,
  background(plan) {
    const rows = Math.round((plan.roomBytes * 0.12) / 10_000);
    plan.repeat(10, () => {
      if (plan.elapsedSeconds() > plan.seconds / 3 && table.length < rows) loadChunk(Math.ceil(rows / 10));
    });
  },
};
