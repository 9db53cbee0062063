// Slices that keep large texts alive, of which only the newest are kept: 4 % of the room.
const titles = new Map();

function titleOf(id, capacity) {
  const document = Array.from({ length: 1000 }, (_, line) => `document ${id}: this is the text of line ${line}`).join('\n');
  titles.set(id, document.slice(0, 40));
  if (titles.size > capacity) titles.delete(titles.keys().next().value);
}

module.exports = {
  about: 'the newest slices of large texts, 4 % of the room',
  leaks: false,
  boundShare: 0.04,
  background(plan) {
    const capacity = Math.round((plan.roomBytes * 0.04) / 47_000);
    plan.repeat(
      (seconds) => (seconds < 2 ? capacity / 2 : plan.bytesPerSecond / 47_000),
      (id) => titleOf(id, capacity),
    );
  },
};
