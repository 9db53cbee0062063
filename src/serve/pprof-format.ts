// The formats that a profile is answered in, and what each is as a file and to a browser. Called by pprof.ts. Writers are
// loaded with the first profile that needs them.
import type { FlameGraphTitle } from '../profile/flame-graph.ts';
import type { Profile } from '../profile/profile.ts';
import type { Answer } from './answer.ts';

/** The values of `?format=`. */
export type Format = 'pprof' | 'folded' | 'speedscope' | 'cpuprofile' | 'svg';

/** A format as it is answered. */
export interface FormatAnswer {
  readonly headers: Readonly<Record<string, string>>;
  body(profile: Profile, title: FlameGraphTitle): Answer['body'] | Promise<Answer['body']>;
}

/** Of profiles that count, and of those that measure time: a .cpuprofile has nothing but time. */
export const FORMATS: readonly Format[] = ['pprof', 'folded', 'speedscope', 'svg'];
export const TIME_FORMATS: readonly Format[] = ['pprof', 'folded', 'speedscope', 'cpuprofile', 'svg'];

/** Nothing in it is to be run or loaded, wherever a browser shows it. */
const DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The format of a file called `name`, which gets an extension; without a format it is pprof under Go's name, which has
 * none.
 */
export async function formatAnswer(format: Format | undefined, name: string): Promise<FormatAnswer> {
  if (format !== undefined) return await ANSWERS[format](name);
  return { ...(await ANSWERS.pprof(name)), headers: attachment('application/octet-stream', name) };
}

const ANSWERS: Readonly<Record<Format, (name: string) => Promise<FormatAnswer>>> = {
  pprof: async (name) => {
    const { encodePprof } = await import('../profile/pprof.ts');
    return { headers: attachment('application/octet-stream', `${name}.pb.gz`), body: encodePprof };
  },
  folded: async (name) => {
    const { folded } = await import('../profile/folded.ts');
    return { headers: inline('text/plain; charset=utf-8', `${name}.folded.txt`), body: folded };
  },
  speedscope: async (name) => {
    const { speedscope } = await import('../profile/speedscope.ts');
    return { headers: attachment('application/json', `${name}.speedscope.json`), body: speedscope };
  },
  cpuprofile: async (name) => {
    const { cpuprofile } = await import('../profile/cpuprofile.ts');
    return { headers: attachment('application/json', `${name}.cpuprofile`), body: cpuprofile };
  },
  svg: async (name) => {
    const { flameGraph } = await import('../profile/flame-graph.ts');
    const { flameGraphPolicy } = await import('../profile/flame-graph-page.ts');
    const headers = { ...inline('image/svg+xml', `${name}.svg`), 'content-security-policy': flameGraphPolicy() };
    return { headers, body: flameGraph };
  },
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
