// Log lines put by until the log server is back; it has been gone for good.
const unsent = [];

function log(id) {
  for (let line = 0; line < 380; line++) {
    unsent.push(
      `${id} level=info line=${line} message="an order was taken, packed and sent" customer=${id * 7} elapsed=${line * 3} ms`.trim(),
    ); // leaks
  }
}

module.exports = {
  about: 'strings in an array',
  leaks: { kinds: ['heap'], function: ['log'], bytesPerUnit: 50_000 },
  route: '/log/:id',
  handle: ({ id }) => log(id),
};
