// Memoised results for a fixed number of keys that come at random: fast at first, slower and slower until all are there.
const results = new Map();

function memoised(key) {
  const known = results.get(key);
  if (known !== undefined) return known;
  const result = Array.from({ length: 80 }, (_, step) => ({ step, value: Math.sqrt(step * key) + 0.5 }));
  results.set(key, result);
  return result;
}

module.exports = {
  about: 'memoised results of keys drawn at random, 5 % of the room in all',
  leaks: false,
  boundShare: 0.05,
  background(plan) {
    const keys = Math.round((plan.roomBytes * 0.05) / 5000);
    // After 30 % of the run 95 % are known.
    plan.repeat((keys * 3) / (plan.seconds * 0.3), () => memoised(Math.floor(Math.random() * keys)));
  },
};
