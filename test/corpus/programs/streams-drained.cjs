// Exports that are read slowly, with back-pressure: many at once, each with a few records in its buffer.
const { Readable, Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');

function* records(id) {
  for (let record = 0; record < 40; record++)
    yield { record, cells: Array.from({ length: 50 }, (_, cell) => ({ cell, id, value: cell * 0.6 })) };
}

async function exportRecords(id) {
  let count = 0;
  const slowly = new Writable({
    objectMode: true,
    write(record, encoding, done) {
      count += record.cells.length;
      setTimeout(done, 20);
    },
  });
  await pipeline(Readable.from(records(id)), slowly);
  return count;
}

module.exports = {
  about: 'streams that are read slowly, with back-pressure',
  leaks: false,
  boundShare: 0.03,
  route: '/export/:id',
  requestsPerSecond: () => 30,
  handle: ({ id }) => exportRecords(id),
};
