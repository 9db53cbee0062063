// A cache of WeakRefs with a FinalizationRegistry that tidies up: entries go when V8 collects them.
const images = new Map();
const registry = new FinalizationRegistry((id) => images.delete(id));

function imageOf(id) {
  const cached = images.get(id)?.deref();
  if (cached !== undefined) return cached;
  const image = { id, pixels: Array.from({ length: 620 }, (_, pixel) => ({ pixel, red: pixel * 0.4 })) };
  images.set(id, new WeakRef(image));
  registry.register(image, id);
  return image;
}

module.exports = {
  about: 'WeakRefs in a Map that a FinalizationRegistry tidies up',
  leaks: false,
  boundShare: 0.02,
  background(plan) {
    plan.repeat(plan.bytesPerSecond / 40_000, (id) => imageOf(id));
  },
};
