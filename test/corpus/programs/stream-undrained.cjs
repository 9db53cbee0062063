// A stream nobody reads: audit records are written to it, what write() answers is ignored, and its export is not configured.
const { PassThrough } = require('node:stream');

const audit = new PassThrough({ objectMode: true });

function recordAccess(id) {
  const fields = Array.from({ length: 690 }, (_, field) => ({ field, id, hash: field * 0.1 }));
  audit.write({ id, fields }); // leaks
}

module.exports = {
  about: 'objects written to a stream that is never read',
  leaks: { kinds: ['heap'], function: ['recordAccess'], bytesPerUnit: 50_000 },
  framework: 'express',
  route: '/accounts/:id',
  handle: ({ id }) => recordAccess(id),
};
