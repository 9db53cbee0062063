// A TLS context per call to a partner instead of one per partner: OpenSSL's memory, of which V8 knows next to nothing.
const tls = require('node:tls');

const trusted = tls.rootCertificates.slice(0, 12);
const contexts = new Map();

function contextFor(call) {
  const context = tls.createSecureContext({ ca: trusted });
  contexts.set(`partner ${call}`, context); // leaks
  return context;
}

module.exports = {
  about: 'a TLS context per message, cached by a key that is never the same; a background job',
  leaks: { kinds: ['native'], function: ['contextFor'], bytesPerUnit: 96_000 },
  background: (plan) => plan.eachMessage(contextFor),
};
