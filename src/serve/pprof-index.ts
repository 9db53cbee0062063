// The index of the profiles, /debug/pprof/: as Go's a table of count, name and description, and links to what is beyond
// Go. Called by endpoints.ts for each request, as the counts change.
import { html, type Answer } from './answer.ts';
import { escapeHtml, page } from './page.ts';
import { pprofError, type PprofProfile } from './pprof.ts';
import { readQuery } from './pprof-query.ts';

/** The page, with links relative to it; takes no parameters. */
export function pprofIndex(title: string, profiles: readonly PprofProfile[], query: URLSearchParams): Answer {
  const problem = readQuery(query, { name: 'the index', parameters: [], formats: [], secondsMax: 0 });
  if (typeof problem === 'string') return pprofError(400, problem);
  const rows = profiles.map(({ name, description, examples, state }) => {
    const links = examples.map(([label, example]) => link(`${name}?${example}`, label)).join(' \u00b7 ');
    return `<tr><td>${escapeHtml(state())}</td><td>${link(name, name)}</td><td>${escapeHtml(description)}${links === '' ? '' : `<br>${links}`}</td></tr>`;
  });
  return html(
    page(
      title,
      `<p>Types of profiles available. Read one with: <code>go tool pprof -http=: &lt;address of the link&gt;</code></p>
<table>
<tr><th>Count or state</th><th>Profile</th><th></th></tr>
${rows.join('\n')}
</table>
<p><code>format=</code> is pprof, folded, speedscope, cpuprofile (profile and wall) or svg, a flame graph.
<code>profile?last=300&amp;route=/orders/:id&amp;format=svg</code> is one of a single route.</p>`,
    ),
  );
}

function link(href: string, label: string): string {
  return `<a href="${escapeHtml(href)}">${escapeHtml(label)}</a>`;
}
