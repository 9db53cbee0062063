// A small slice of a large text: V8 keeps the whole of it alive.
const titles = new Map();

function titleOf(id) {
  const document = Array.from({ length: 1160 }, (_, line) => `document ${id}: this is the text of line ${line}`).join('\n');
  titles.set(id, document.slice(0, 40)); // leaks
}

module.exports = {
  about: 'slices of 40 characters that keep texts of 50 kB alive',
  leaks: { kinds: ['heap'], function: ['titleOf'], bytesPerUnit: 50_000 },
  framework: 'express',
  route: '/documents/:id',
  handle: ({ id }) => titleOf(id),
};
