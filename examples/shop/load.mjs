// The built-in load: some 280 requests a second to the gateway, a steady mix, open loop, bounded in flight.
// Called by start.mjs. The mix is fixed and counted out, not drawn, so that two runs send the same.
import http from 'node:http';

const TICK_MILLIS = 20;
/** More than are ever in flight while the shop is healthy; beyond it a request is skipped and counted. */
const IN_FLIGHT_MAX = 200;
const REQUEST_TIMEOUT_MILLIS = 10_000;
/** After a pause of this process no more than so much of the missed load is made up for. */
const CATCH_UP_SECONDS_MAX = 0.2;
const LOGINS_PER_SECOND = 25;
/** Logins end after so long: 200 MB are leaked by then, and collections of more would stall the gateway by themselves. */
export const LOGIN_SECONDS = 80;

/** What is sent, how often, and how many times at most. `request` maps a running number to path and body. */
const MIX = [
  { method: 'GET', perSecond: 100, request: (n) => ({ path: `/products/p${n % 400}` }) },
  { method: 'GET', perSecond: 60, request: (n) => ({ path: `/search?q=Product%20${n % 60}` }) },
  { method: 'GET', perSecond: 40, request: (n) => ({ path: `/users/u${n % 50}/orders/o${1 + (n % 200)}` }) },
  {
    method: 'POST',
    perSecond: 15,
    request: (n) => ({ path: `/users/u${n % 50}/orders`, body: { items: [{ sku: `p${n % 300}`, quantity: 2 }] } }),
  },
  { method: 'POST', perSecond: 12, request: (n) => ({ path: `/users/u${n % 50}/orders/o${1 + (n % 200)}/checkout` }) },
  { method: 'GET', perSecond: 25, request: (n) => ({ path: `/recommendations/${n % 50}` }) },
  {
    method: 'POST',
    perSecond: LOGINS_PER_SECOND,
    max: LOGINS_PER_SECOND * LOGIN_SECONDS,
    request: (n) => ({ path: '/login', body: { userId: `u${n}` } }),
  },
  { method: 'GET', perSecond: 0.4, request: () => ({ path: '/exports/orders' }) },
];

/**
 * Starts the load against the gateway's URL. Returns `{ counts, stop }`: `counts` has `sent`, `answered`,
 * `unanswered` (refused, reset, timed out) and `skipped`; `stop` ends it and what is in flight.
 */
export function startLoad(gatewayUrl) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: IN_FLIGHT_MAX });
  const counts = { sent: 0, answered: 0, unanswered: 0, skipped: 0 };
  const due = MIX.map(() => 0);
  const sentByKind = MIX.map(() => 0);
  let stopped = false;
  let last = performance.now();

  const send = (kind) => {
    const { method, request } = MIX[kind];
    if (counts.sent - counts.answered - counts.unanswered >= IN_FLIGHT_MAX) {
      counts.skipped += 1;
      return;
    }
    const { path, body } = request(sentByKind[kind]);
    sentByKind[kind] += 1;
    counts.sent += 1;
    sendRequest(agent, `${gatewayUrl}${path}`, method, body, (answered) => {
      // What stop() cuts off says nothing about the shop.
      if (!stopped) counts[answered ? 'answered' : 'unanswered'] += 1;
    });
  };

  const timer = setInterval(() => {
    const now = performance.now();
    const seconds = Math.min((now - last) / 1000, CATCH_UP_SECONDS_MAX);
    last = now;
    for (const [kind, { perSecond, max = Infinity }] of MIX.entries()) {
      due[kind] += perSecond * seconds;
      for (; due[kind] >= 1; due[kind] -= 1) if (sentByKind[kind] < max) send(kind);
    }
  }, TICK_MILLIS);

  const stop = () => {
    stopped = true;
    clearInterval(timer);
    agent.destroy();
  };
  return { counts, stop };
}

/** Sends one request, reads and drops its answer, and calls `done` once with whether there was a whole one. */
function sendRequest(agent, url, method, body, done) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  let answered = false;
  const request = http.request(url, { method, headers, agent, timeout: REQUEST_TIMEOUT_MILLIS }, (response) => {
    response.resume();
    response.on('end', () => (answered = true));
    response.on('error', () => {});
  });
  request.on('timeout', () => request.destroy(new Error('timed out')));
  request.on('error', () => {});
  request.on('close', () => done(answered));
  request.end(body === undefined ? undefined : JSON.stringify(body));
}
