// Fastify 5: one route with a parameter, a small JSON answer.
const Fastify = require('fastify');
const { countRequest, listening, middleware } = require('./control.cjs');

async function main() {
  const app = Fastify();
  // fastify-metrics only counts routes that are declared after it has loaded.
  await middleware?.fastify(app);
  app.get('/items/:id', (request, reply) => {
    countRequest();
    reply.send({ id: request.params.id, hello: 'world' });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  listening(app.server);
}

main();
