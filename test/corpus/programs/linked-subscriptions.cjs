// Instances in a linked list: unsubscribe() was written but is never called.
let newest;

class Subscription {
  constructor(id) {
    this.id = id;
    this.topics = Array.from({ length: 780 }, (_, topic) => ({ topic, weight: topic * 0.9 }));
    this.older = newest; // leaks
    newest = this;
  }

  unsubscribe() {
    if (newest === this) newest = this.older;
  }
}

function subscribe(id) {
  return new Subscription(id);
}

module.exports = {
  about: 'instances of a class in a linked list',
  leaks: { kinds: ['heap'], function: ['Subscription'], bytesPerUnit: 50_000 },
  framework: 'fastify',
  route: '/subscriptions/:id',
  handle: ({ id }) => subscribe(id).topics.length,
};
