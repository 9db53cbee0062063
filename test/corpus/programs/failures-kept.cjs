// Errors kept for a report at the end of the run, each with the job that failed; the run has no end.
const failures = [];

function attempt(id) {
  const job = Array.from({ length: 670 }, (_, step) => ({ step, id, millis: step * 1.3 }));
  try {
    throw new RangeError(`job ${id} has too many steps`);
  } catch (error) {
    failures.push(Object.assign(error, { job })); // leaks
  }
}

module.exports = {
  about: 'errors with their jobs in an array',
  leaks: { kinds: ['heap'], function: ['attempt'], bytesPerUnit: 50_000 },
  framework: 'fastify',
  route: '/jobs/:id',
  handle: ({ id }) => attempt(id),
};
