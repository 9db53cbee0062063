// A listener per request on a bus that outlives it; each keeps the rows of its request.
const { EventEmitter } = require('node:events');

const bus = new EventEmitter().setMaxListeners(0);

function subscribe(id) {
  const rows = Array.from({ length: 520 }, (_, position) => `row ${position} of customer ${id}`);
  bus.on('price', () => rows.length); // leaks
}

module.exports = {
  about: 'a listener per request on an emitter of the module, never taken off',
  leaks: { kinds: ['heap'], function: ['subscribe'], bytesPerUnit: 50_000 },
  framework: 'express',
  route: '/prices/:id',
  handle({ id }) {
    subscribe(id);
    return { listeners: bus.listenerCount('price') };
  },
};
