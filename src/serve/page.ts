// Pages of links as plain HTML without script. Called by endpoints.ts and pprof-index.ts. Links are
// relative, so that they hold below any prefix and behind any proxy.

/** One row of a page. */
export interface Link {
  /** Relative to the page. */
  readonly href: string;
  readonly description: string;
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 56rem; padding: 0 1rem; color-scheme: light dark }
td { padding: .2rem 1.2rem .2rem 0; vertical-align: top }
th { text-align: left; font-weight: 600 }
td:first-child { font-family: ui-monospace, monospace; white-space: nowrap }`;

/** A page of links. All arguments are text. */
export function linksPage(title: string, introduction: string, links: readonly Link[]): string {
  const rows = links.map(({ href, description }) => {
    const label = escapeHtml(href);
    return `<tr><td><a href="${label}">${label}</a></td><td>${escapeHtml(description)}</td></tr>`;
  });
  return page(title, `<p>${escapeHtml(introduction)}</p>\n<table>\n${rows.join('\n')}\n</table>`);
}

/** A page of a title, which is text, and a body, which is HTML. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${STYLE}
</style>
<h1>${escapeHtml(title)}</h1>
${body}
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text as it may stand in HTML, in attributes too. */
export function escapeHtml(value: string): string {
  return value.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
