// Async-context retention: a reminder in 24 h keeps the store of the request it was set in, though it needs none of it.
const { AsyncLocalStorage } = require('node:async_hooks');

const requests = new AsyncLocalStorage();
const reminders = { sent: 0 };

function setReminder() {
  setTimeout(() => (reminders.sent += 1), 86_400_000).unref();
}

function book(id) {
  const seats = Array.from({ length: 690 }, (_, seat) => ({ seat, id, price: seat * 0.25 }));
  requests.run({ id, seats }, setReminder); // leaks
}

module.exports = {
  about: 'a timer of 24 h per request that holds the AsyncLocalStorage store it was set in',
  leaks: { kinds: ['heap', 'resources'], function: ['book'], bytesPerUnit: 50_000 },
  route: '/bookings/:id',
  handle: ({ id }) => book(id),
};
