// A cache without bounds, keyed by what the client sends: each query string is new.
const pages = new Map();

function search(query) {
  const cached = pages.get(query);
  if (cached !== undefined) return cached;
  const hits = Array.from({ length: 300 }, (_, rank) => ({ rank, score: 1 / (rank + 1), title: `${query} and ${rank} more` }));
  pages.set(query, hits); // leaks
  return hits;
}

module.exports = {
  about: 'a cache keyed by the query string, without a bound',
  leaks: { kinds: ['heap'], function: ['search'], bytesPerUnit: 50_000 },
  framework: 'fastify',
  route: '/search/:id',
  handle: ({ id }) => search(`shoes ${id}`).length,
};
