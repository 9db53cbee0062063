// A Map of sessions: a login adds one, nothing removes it.
const sessions = new Map();

function openSession(id) {
  const cart = Array.from({ length: 770 }, (_, position) => ({ position, price: position * 1.5 }));
  sessions.set(id, { id, since: Date.now(), cart }); // leaks
}

module.exports = {
  about: 'sessions entered into a Map and never removed',
  leaks: { kinds: ['heap'], function: ['openSession'], bytesPerUnit: 50_000 },
  framework: 'express',
  route: '/login/:id',
  handle({ id }) {
    openSession(id);
    return { sessions: sessions.size };
  },
};
