import { createServer, request, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Access, type AccessOptions, type Decision } from '../../../src/serve/access.ts';

const TOKEN = 'a secret, with spaces; and signs=';

/** A real server that only decides. */
interface Decider {
  readonly server: Server;
  readonly decide: (
    access: Access,
    asked: { isPublic?: boolean; token?: string; prefix?: string },
    headers?: IncomingHttpHeaders,
  ) => Promise<Decision>;
}

async function decider(host: string): Promise<Decider> {
  let decided: (req: IncomingMessage) => void = () => {};
  const server = createServer((req, res) => {
    decided(req);
    res.end();
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    server,
    decide: (access, asked, headers = {}) =>
      new Promise((resolve, reject) => {
        decided = (req) => resolve(access.decide(req, { isPublic: false, token: undefined, prefix: '', ...asked }));
        request({ host: '127.0.0.1', port, headers, agent: false }, (res) => res.resume())
          .on('error', reject)
          .end();
      }),
  };
}

function access(options: Partial<AccessOptions> = {}): Access {
  return new Access({ token: undefined, host: '127.0.0.1', ...options });
}

function summary(decision: Decision): string {
  return decision.kind === 'refused' ? `refused ${decision.status}` : decision.kind;
}

let loopback: Decider;
let network: Decider;

beforeAll(async () => {
  loopback = await decider('127.0.0.1');
  network = await decider('0.0.0.0');
});

afterAll(() => {
  loopback.server.close();
  network.server.close();
});

describe('a server bound to loopback', () => {
  it.each([
    'localhost',
    'localhost:9464',
    'LOCALHOST',
    'localhost.',
    'shop.localhost:9464',
    '127.0.0.1',
    '127.0.0.1:9464',
    '127.255.0.9',
    '[::1]',
    '[::1]:9464',
    'sonde.internal:9464',
  ])('is open to a request whose Host is %s', async (host) => {
    expect(summary(await loopback.decide(access({ host: 'Sonde.internal' }), {}, { host }))).toBe('open');
  });

  it.each([
    'evil.example',
    'evil.example:9464',
    'localhost.evil.example',
    'evillocalhost',
    '127.0.0.1.evil.example',
    '127.evil.example',
    '128.0.0.1',
    '[::2]:9464',
    '192.168.1.5',
    'localhost@evil.example',
  ])('refuses a request whose Host is %s, even for the metrics and with the headers of a proxy', async (host) => {
    const rules = access();
    expect(summary(await loopback.decide(rules, {}, { host }))).toBe('refused 403');
    expect(summary(await loopback.decide(rules, { isPublic: true }, { host }))).toBe('refused 403');
    expect(summary(await loopback.decide(rules, { isPublic: true }, { host, 'x-forwarded-for': '10.0.0.1' }))).toBe('refused 403');
  });

  it('says why a foreign Host is refused', async () => {
    const decision = await loopback.decide(access(), {}, { host: 'evil.example' });
    expect(decision).toMatchObject({ kind: 'refused', message: expect.stringMatching(/DNS rebinding[^]*SONDE_HOST/) });
  });

  it.each(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-anything', 'forwarded', 'via', 'x-real-ip'])(
    'counts as reachable from elsewhere when a request carries %s',
    async (name) => {
      const headers = { host: '127.0.0.1', [name]: '10.0.0.1' };
      expect(summary(await loopback.decide(access(), {}, headers))).toBe('refused 403');
      expect(summary(await loopback.decide(access({ token: TOKEN }), {}, headers))).toBe('refused 401');
      expect(summary(await loopback.decide(access(), { isPublic: true }, headers))).toBe('open');
    },
  );

  it('is open to a foreign Host that brings the token', async () => {
    const headers = { host: 'evil.example', authorization: `Bearer ${TOKEN}` };
    expect(summary(await loopback.decide(access({ token: TOKEN }), {}, headers))).toBe('open');
  });
});

describe('a server bound to every address', () => {
  it('leaves the metrics and the probes open, whatever the Host', async () => {
    expect(summary(await network.decide(access(), { isPublic: true }, { host: 'shop.example' }))).toBe('open');
    expect(summary(await network.decide(access({ token: TOKEN }), { isPublic: true }, { host: '127.0.0.1' }))).toBe('open');
  });

  it.each([undefined, ''])('refuses the rest when the token is %j, and says how to set one', async (token) => {
    const decision = await network.decide(access({ token }), { token: '' }, { host: '127.0.0.1', authorization: 'Bearer ' });
    expect(decision).toMatchObject({ kind: 'refused', status: 403, message: expect.stringContaining('SONDE_TOKEN') });
  });

  it.each([
    `Bearer ${TOKEN}`,
    `bearer ${TOKEN}`,
    `Basic ${Buffer.from(`any:${TOKEN}`).toString('base64')}`,
    `Basic ${Buffer.from(`:${TOKEN}`).toString('base64')}`,
  ])('is open to Authorization: %s', async (authorization) => {
    expect(summary(await network.decide(access({ token: TOKEN }), {}, { authorization }))).toBe('open');
  });

  it.each([
    '',
    TOKEN,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    'Bearer',
    'Basic',
    'Basic !!!',
    `Basic ${Buffer.from(TOKEN).toString('base64')}`,
    `Digest ${TOKEN}`,
  ])('refuses Authorization: %s', async (authorization) => {
    expect(summary(await network.decide(access({ token: TOKEN }), {}, { authorization }))).toBe('refused 401');
  });

  it('signs in by the query, and then knows the cookie that it gave', async () => {
    const rules = access({ token: TOKEN });
    const decision = await network.decide(rules, { token: TOKEN, prefix: '/ops' });
    const { cookie } = decision as Decision & { kind: 'signed-in' };
    expect(cookie).toMatch(/^sonde_token=[0-9a-f]{64}; Path=\/ops\/; HttpOnly; SameSite=Strict$/);
    const [pair = ''] = cookie.split(';');
    expect(summary(await network.decide(rules, {}, { cookie: `theme=dark; ${pair}; lang=en` }))).toBe('open');
    expect(summary(await network.decide(rules, {}, { cookie: `${pair}0` }))).toBe('refused 401');
    expect(summary(await network.decide(rules, {}, { cookie: 'sonde_token=' }))).toBe('refused 401');
    expect(summary(await network.decide(access({ token: 'another' }), {}, { cookie: pair }))).toBe('refused 401');
  });

  it('does not sign in by a wrong token in the query', async () => {
    expect(summary(await network.decide(access({ token: TOKEN }), { token: `${TOKEN}x` }))).toBe('refused 401');
    expect(summary(await network.decide(access(), { token: 'undefined' }))).toBe('refused 403');
  });
});
