// Closures in an array: each order registers a hook for the end of the day, and that end never comes.
const hooks = [];

function registerHook(orderId) {
  const lines = Array.from({ length: 690 }, (_, position) => ({ position, orderId, total: position * 1.19 }));
  hooks.push(() => lines.reduce((sum, line) => sum + line.total, 0)); // leaks
}

module.exports = {
  about: 'closures over an order pushed into an array that nobody empties',
  leaks: { kinds: ['heap'], function: ['registerHook'], bytesPerUnit: 50_000 },
  route: '/orders/:id',
  handle({ id }) {
    registerHook(id);
    return { hooks: hooks.length };
  },
};
