// Bytes pushed into a stream whose consumer has gone: the camera goes on.
const { Readable } = require('node:stream');

const film = new Readable({ read() {} });

function captureFrame(number) {
  const frame = Buffer.alloc(50_000, number % 256);
  film.push(frame); // leaks
}

module.exports = {
  about: 'Buffers pushed into a Readable that is never read; a background job',
  leaks: { kinds: ['external'], function: ['captureFrame'], bytesPerUnit: 50_000 },
  background: (plan) => plan.eachMessage(captureFrame),
};
