// `sonde/express`: the endpoints as a middleware of an Express 4 or 5 application. A thin adapter: it finds the mount
// and hands the request to serve/endpoints.ts. Its types are structural, so that no version of Express is named.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { startRuntime } from './sdk.ts';

export interface SondeExpressOptions {
  /**
   * Path below which the endpoints are served, relative to where the middleware is mounted. Left out: `/sonde` for
   * `app.use(sonde())`, and the mount path itself for `app.use('/ops', sonde())`.
   */
  readonly prefix?: string;
}

/** A request as Express hands it to a middleware: `url` without the mount path, which is in `baseUrl`. */
type MountedRequest = IncomingMessage & { readonly baseUrl?: string; readonly originalUrl?: string };

const PREFIX_DEFAULT = '/sonde';

/**
 * Serves Sonde's endpoints from an Express application: `app.use(sonde())` answers `/sonde/metrics`. Starts Sonde
 * when the preload did not. Requests for anything else are passed on. The requests it answers are not counted as the
 * application's. Who may read what follows the address that the application's server listens on.
 */
export function sonde(
  options: SondeExpressOptions = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  const { endpoints } = startRuntime();
  const given = options.prefix === undefined ? undefined : normalised(options.prefix);
  return (req: MountedRequest, res, next) => {
    const baseUrl = req.baseUrl ?? '';
    const prefix = given ?? (baseUrl === '' ? PREFIX_DEFAULT : '');
    const url = req.url ?? '/';
    const target = url.slice(prefix.length);
    if (endpoints === undefined || !url.startsWith(prefix) || !/^(?:[/?]|$)/.test(target) || !endpoints.owns(target)) {
      next();
      return;
    }
    void endpoints.handle(req, res, { prefix: baseUrl + prefix, target, address: req.originalUrl ?? url });
  };
}

/** With a slash before and none after; empty for the root. */
function normalised(prefix: string): string {
  const inner = prefix.replace(/^\/+|\/+$/g, '');
  return inner === '' ? '' : `/${inner}`;
}
