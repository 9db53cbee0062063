// Two closures that share a scope: the one nobody calls holds the snapshot before, and so on back to the first.
let current;

function replaceSnapshot(version) {
  const previous = current;
  const compare = () => previous?.prices.length;
  const prices = Array.from({ length: 690 }, (_, article) => ({ article, version, price: article * 1.1 }));
  current = { prices, compare: version < 0 ? compare : undefined, read: () => version }; // leaks
}

module.exports = {
  about: 'snapshots chained by the scope that their closures share; a background job',
  leaks: { kinds: ['heap'], function: ['replaceSnapshot'], bytesPerUnit: 50_000 },
  background: (plan) => plan.eachMessage(replaceSnapshot),
};
