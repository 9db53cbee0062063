// A native addon that keeps the image it has decoded: malloc without free.
const decode = process.env.CORPUS_ADDON === undefined ? undefined : require(process.env.CORPUS_ADDON);

function decodeImage(id) {
  decode(50_000); // leaks
  return id;
}

module.exports = {
  about: 'a native addon that does not free what it has allocated; skipped where there is no C compiler',
  leaks: { kinds: ['native'], function: ['decodeImage'], bytesPerUnit: 50_000 },
  needs: 'addon',
  framework: 'express',
  route: '/images/:id',
  handle: ({ id }) => decodeImage(id),
};
