// Code compiled per request and cached by its text: each filter is another text.
const filters = new Map();

function compileFilter(id) {
  const tests = Array.from({ length: 400 }, (_, field) => `row.field${field} !== ${id + field}`);
  // oxlint-disable-next-line typescript/no-implied-eval -- as template engines and validators do
  const filter = new Function('row', `return ${tests.join(' && ')};`);
  filters.set(id, filter); // leaks
  return filter;
}

module.exports = {
  about: 'functions compiled from text and cached by it',
  leaks: { kinds: ['heap'], function: ['compileFilter'], bytesPerUnit: 25_800 },
  framework: 'express',
  route: '/filters/:id',
  handle: ({ id }) => compileFilter(id)({ field0: id }),
};
