// Compressors opened per archive and never closed: their state lies outside of the heap.
const zlib = require('node:zlib');

const archives = new Map();

function openArchive(id) {
  const gzip = zlib.createGzip();
  gzip.write(`archive ${id}`);
  archives.set(id, gzip); // leaks
}

module.exports = {
  about: 'gzip streams never closed',
  leaks: { kinds: ['native', 'external'], function: ['openArchive'], bytesPerUnit: 205_000 },
  route: '/archives/:id',
  handle: ({ id }) => openArchive(id),
};
