// Messages to a port that nobody listens to any more: they wait serialised, outside of the heap and of `external`.
const { MessageChannel } = require('node:worker_threads');

const { port1: toWorker, port2: inWorker } = new MessageChannel();

function sendToWorker(id) {
  const points = Array.from({ length: 1500 }, (_, x) => ({ x, y: x * 0.5, at: id }));
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window
  toWorker.postMessage({ id, points }); // leaks
}

module.exports = {
  about: 'messages posted to a MessagePort that nobody reads',
  leaks: { kinds: ['native'], function: ['sendToWorker'], bytesPerUnit: 48_000 },
  framework: 'express',
  route: '/points/:id',
  handle({ id }) {
    sendToWorker(id);
    return inWorker.constructor.name;
  },
};
