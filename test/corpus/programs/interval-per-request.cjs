// Timers never cleared: each upload starts one that reports its progress, also long after it is complete.
const progress = new Map([['done', 0]]);

function watchUpload(id) {
  const parts = Array.from({ length: 690 }, (_, number) => ({ number, id, sum: number * 0.5 }));
  setInterval(() => progress.set('done', parts.length), 60_000); // leaks
}

module.exports = {
  about: 'an interval per request that is never cleared',
  leaks: { kinds: ['heap', 'resources'], function: ['watchUpload'], bytesPerUnit: 50_000 },
  route: '/uploads/:id',
  handle: ({ id }) => watchUpload(id),
};
