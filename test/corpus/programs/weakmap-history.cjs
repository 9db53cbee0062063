// A WeakMap whose keys never die: its values grow for as long as the tenants live, which is for ever.
const tenants = Array.from({ length: 30 }, (_, number) => ({ number, name: `tenant ${number}` }));
const histories = new WeakMap(tenants.map((tenant) => [tenant, []]));

function remember(tenant, id) {
  const changes = Array.from({ length: 580 }, (_, field) => ({ field: `field ${field}`, from: field, to: id }));
  histories.get(tenant).push({ id, changes }); // leaks
}

module.exports = {
  about: 'a WeakMap from tenants that live for ever to histories that grow',
  leaks: { kinds: ['heap'], function: ['remember'], bytesPerUnit: 50_000 },
  framework: 'fastify',
  route: '/changes/:id',
  handle({ id }) {
    remember(tenants[id % tenants.length], id);
  },
};
