// Promises never settled: an order waits for a receipt from a queue that has lost it, and so do its lines.
const waiting = new Map();

function receiptOf(id) {
  return new Promise((resolve) => {
    waiting.set(id, resolve);
  });
}

async function confirmOrder(id) {
  const lines = Array.from({ length: 760 }, (_, position) => ({ position, total: position * 1.07 }));
  const receipt = await receiptOf(id); // leaks
  return { receipt, lines };
}

module.exports = {
  about: 'async functions that wait for an answer that never comes',
  leaks: { kinds: ['heap'], function: ['confirmOrder'], bytesPerUnit: 50_000 },
  framework: 'express',
  route: '/confirm/:id',
  handle({ id }) {
    void confirmOrder(id);
    return { waiting: waiting.size };
  },
};
