// Buffers kept: each upload is put aside for a virus scan that has been switched off.
const unscanned = [];

function receiveUpload(id) {
  const content = Buffer.alloc(64 * 1024, id % 256);
  unscanned.push(content); // leaks
}

module.exports = {
  about: 'Buffers of 64 KiB pushed into an array',
  leaks: { kinds: ['external'], function: ['receiveUpload'], bytesPerUnit: 65_536 },
  framework: 'express',
  route: '/files/:id',
  handle({ id }) {
    receiveUpload(id);
    return { unscanned: unscanned.length };
  },
};
