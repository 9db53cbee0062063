// Pyroscope's client with its defaults: wall-clock and heap profiles, pushed every minute and, as its manual asks for
// short-lived processes, once more at the end.
const Pyroscope = require('@pyroscope/nodejs');

Pyroscope.init({ serverAddress: process.env.PYROSCOPE_SERVER_ADDRESS, appName: 'bench' });
Pyroscope.start();
process.once('SIGTERM', () => Pyroscope.stop().finally(() => process.exit()));
