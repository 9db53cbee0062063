// The formats that a profile is answered in, and what each is as a file and to a browser. pprof.ts loads this file, and all
// writers with it, when the first profile is asked for: each of them by itself would be a file more in every start.
import { cpuprofile } from '../profile/cpuprofile.ts';
import { flameGraph, type FlameGraphTitle } from '../profile/flame-graph.ts';
import { flameGraphPolicy } from '../profile/flame-graph-page.ts';
import { folded } from '../profile/folded.ts';
import { encodePprof } from '../profile/pprof.ts';
import type { Profile } from '../profile/profile.ts';
import { speedscope } from '../profile/speedscope.ts';
import type { Answer } from './answer.ts';
import type { Format } from './pprof-query.ts';

/** A format as it is answered. */
export interface FormatAnswer {
  readonly headers: Readonly<Record<string, string>>;
  body(profile: Profile, title: FlameGraphTitle): Answer['body'] | Promise<Answer['body']>;
}

/** Nothing in it is to be run or loaded, wherever a browser shows it. */
const DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The format of a file called `name`, which gets an extension; without a format it is pprof under Go's name, which has
 * none.
 */
export function formatAnswer(format: Format | undefined, name: string): FormatAnswer {
  if (format !== undefined) return ANSWERS[format](name);
  return { headers: attachment('application/octet-stream', name), body: encodePprof };
}

const ANSWERS: Readonly<Record<Format, (name: string) => FormatAnswer>> = {
  pprof: (name) => ({ headers: attachment('application/octet-stream', `${name}.pb.gz`), body: encodePprof }),
  folded: (name) => ({ headers: inline('text/plain; charset=utf-8', `${name}.folded.txt`), body: folded }),
  speedscope: (name) => ({ headers: attachment('application/json', `${name}.speedscope.json`), body: speedscope }),
  cpuprofile: (name) => ({ headers: attachment('application/json', `${name}.cpuprofile`), body: cpuprofile }),
  svg: (name) => ({
    headers: { ...inline('image/svg+xml', `${name}.svg`), 'content-security-policy': flameGraphPolicy() },
    body: flameGraph,
  }),
};

function attachment(contentType: string, filename: string): Record<string, string> {
  return file(contentType, `attachment; filename="${filename}"`);
}

function inline(contentType: string, filename: string): Record<string, string> {
  return file(contentType, `inline; filename="${filename}"`);
}

function file(contentType: string, disposition: string): Record<string, string> {
  return { 'content-type': contentType, 'content-disposition': disposition, 'content-security-policy': DATA_POLICY };
}
