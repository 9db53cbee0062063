// A list of recent requests for the support page, which forgot to drop the old ones: each keeps what was loaded for it.
const recent = [];

function loadBasket(id) {
  return Array.from({ length: 650 }, (_, position) => ({ position, price: position * 2.5 + id })); // leaks
}

function traceRequest(req, id) {
  req.basket = loadBasket(id);
  recent.push(req); // leaks
}

module.exports = {
  about: 'request objects of Express 4 with what was loaded for them',
  leaks: { kinds: ['heap'], function: ['loadBasket', 'traceRequest'], bytesPerUnit: 50_000 },
  framework: 'express4',
  route: '/baskets/:id',
  handle: ({ id, req }) => traceRequest(req, id),
};
