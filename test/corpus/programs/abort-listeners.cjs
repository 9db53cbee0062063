// Listeners on the AbortSignal of the shutdown: each request adds one so as to be cancelled, none removes it when it is done.
const { setMaxListeners } = require('node:events');

const shutdown = new AbortController();
setMaxListeners(0, shutdown.signal);

function runReport(id) {
  const cells = Array.from({ length: 690 }, (_, column) => ({ column, value: column / 7, id }));
  shutdown.signal.addEventListener('abort', () => cells.fill(null)); // leaks
  return cells.length;
}

module.exports = {
  about: "a listener per request on the shutdown's AbortSignal",
  leaks: { kinds: ['heap'], function: ['runReport'], bytesPerUnit: 50_000 },
  route: '/reports/:id',
  handle: ({ id }) => runReport(id),
};
