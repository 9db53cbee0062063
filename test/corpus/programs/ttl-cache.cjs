// A cache whose entries expire: as many come as go, after the first have reached their age.
const quotes = new Map();

function quote(id, lifeMillis) {
  const steps = Array.from({ length: 310 }, (_, amount) => ({ amount, price: amount * 0.99 + id }));
  quotes.set(id, steps);
  setTimeout(() => quotes.delete(id), lifeMillis);
}

module.exports = {
  about: 'a cache whose entries live for a tenth of the run',
  leaks: false,
  boundShare: 0.06,
  background(plan) {
    const lifeSeconds = plan.seconds / 10;
    const bytesPerSecond = Math.min(plan.bytesPerSecond, (plan.roomBytes * 0.05) / lifeSeconds);
    plan.repeat(bytesPerSecond / 20_000, (id) => quote(id, lifeSeconds * 1000));
  },
};
