// ArrayBuffers kept: a histogram for each series of measurements, and a new series for each device id.
const histograms = new Map();

function histogramOf(device) {
  const counts = new Float64Array(6000).fill(device);
  histograms.set(device, counts); // leaks
  return counts;
}

module.exports = {
  about: 'a Float64Array per message in a Map; a background job',
  leaks: { kinds: ['external'], function: ['histogramOf'], bytesPerUnit: 48_000 },
  background: (plan) => plan.eachMessage(histogramOf),
};
