// A service that nobody asks anything, after its first request.
module.exports = {
  about: 'one request, and then none',
  leaks: false,
  boundShare: 0.01,
  requestsPerSecond: (seconds) => (seconds < 1 ? 1 : 0),
};
