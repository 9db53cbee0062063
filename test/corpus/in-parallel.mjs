// A bounded number of programs of the corpus at once.

/** Calls `run` with each of the items, so many at once; answers what it answered, in the items' order. */
export async function inParallel(items, count, run) {
  const results = [];
  let next = 0;
  async function work() {
    while (next < items.length) {
      const index = next++;
      results[index] = await run(items[index]);
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, work));
  return results;
}
