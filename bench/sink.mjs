// The other end of every push: takes OTLP, the API of Datadog's agent and Pyroscope's ingest, keeps nothing but counts
// and the last profile, and answers at once. A process of its own (sink-process); effects.mjs asks it what arrived.
import dgram from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import { gunzipSync } from 'node:zlib';
import { countFields, textFields } from './protobuf-fields.mjs';

let counts;

function reset() {
  counts = { posts: 0, bytes: 0, spans: 0, metricNames: [], traces: 0, runtimeMetrics: 0, lastProfile: '', refused: [] };
}

/** By the beginning of the path: what a body means, and what is answered. */
const routes = [
  ['/v1/traces', (body) => (counts.spans += countFields(body, [1, 2, 2])), ''],
  ['/v1/metrics', (body) => rememberMetrics(textFields(body, [1, 2, 2, 1])), ''],
  ['/v1/logs', () => {}, ''],
  ['/info', () => {}, JSON.stringify({ version: '7.70.0', endpoints: ['/v0.4/traces'], client_drop_p0s: false })],
  ['/v0.4/traces', (body) => (counts.traces += msgpackArrayLength(body)), JSON.stringify({ rate_by_service: { 'service:,env:': 1 } })],
  ['/ingest', (body) => (counts.lastProfile = body.toString('base64')), ''],
];

function rememberMetrics(names) {
  counts.metricNames = [...new Set([...counts.metricNames, ...names])];
}

/** Datadog's payload is one array of traces. */
function msgpackArrayLength(body) {
  if ((body[0] & 0xf0) === 0x90) return body[0] & 0x0f;
  if (body[0] === 0xdc) return body.readUInt16BE(1);
  if (body[0] === 0xdd) return body.readUInt32BE(1);
  throw new Error(`not an array of traces: it begins with byte ${body[0]}`);
}

function serve(req, res) {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const received = Buffer.concat(chunks);
    const route = routes.find(([path]) => req.url.startsWith(path));
    if (received.length > 0) counts.posts++;
    counts.bytes += received.length;
    if (route === undefined) {
      counts.refused.push(req.url);
      res.writeHead(404).end();
      return;
    }
    const [, take, answer] = route;
    take(req.headers['content-encoding'] === 'gzip' ? gunzipSync(received) : received);
    res.end(answer);
  });
}

reset();
const server = http.createServer(serve).listen(0, '127.0.0.1');
const statsd = dgram.createSocket('udp4', (datagram) => (counts.runtimeMetrics += datagram.length)).bind(0, '127.0.0.1');
await Promise.all([once(server, 'listening'), once(statsd, 'listening')]);
process.on('message', (question) => {
  if (question === 'reset') reset();
  process.send(counts);
});
process.send({ port: server.address().port, statsdPort: statsd.address().port });
