// Writes a profile as a flame graph: one SVG file that needs nothing else, callers above their callees, as wide as their
// share. In a browser it zooms by a click and searches by Ctrl-F, served or saved to disk. Called by serve/.
import { layoutOf, type Box, type Layout } from './flame-graph-layout.ts';
import { FLAME_GRAPH_SCRIPT, FLAME_GRAPH_STYLE, STEPS, TONES } from './flame-graph-page.ts';
import type { Frame } from './frame.ts';
import { originOf, shortPlace, type Origin } from './frame-origin.ts';
import type { Profile } from './profile.ts';
import { percent, quantity } from './quantity.ts';
import { textInTurns } from '../core/turns.ts';

/** In pixels. */
const HEADER = 112;
const ROW = 19;
const FOOTER = 40;
const MARGIN = 14;

/** What stands in the title of a graph beside what the profile says itself. */
export interface FlameGraphTitle {
  /** Whose profile it is: a service and its version. */
  readonly subject: string;
  /** What the samples were chosen by, as `http.route=/orders/:id`. */
  readonly filters: readonly string[];
}

const HEADINGS: Readonly<Record<string, string>> = {
  cpu: 'CPU time',
  wall: 'Wall-clock time',
  samples: 'Samples',
  inuse_space: 'Live memory',
  inuse_objects: 'Live objects',
  alloc_space: 'Allocated memory',
  alloc_objects: 'Allocated objects',
  resources: 'Active resources',
};

const ORIGINS: readonly (readonly [Origin, string])[] = [
  ['application', 'application'],
  ['dependency', 'node_modules'],
  ['node', 'Node.js'],
  ['engine', 'V8'],
];

/**
 * The default sample type, summed over labels. Frames narrower than 0.1 % are left out and counted in a note. Colours
 * tell whose code it is; in a difference a frame is as wide as all that changed in it, red where that is more and blue
 * where it is less. Yields text.
 */
export function flameGraph(profile: Profile, title: FlameGraphTitle): AsyncIterable<string> {
  return textInTurns(parts(profile, title));
}

/** A graph that is laid out, and what its texts need. */
interface Graph extends Layout {
  readonly heading: string;
  readonly unit: string;
  /** The box of everything. */
  readonly whole: Box;
}

function* parts(profile: Profile, title: FlameGraphTitle): Generator<string> {
  const layout = yield* layoutOf(profile);
  const graph = { ...layout, heading: headingOf(profile, layout), unit: unitOf(profile), whole: layout.boxes[0] as Box };
  const height = HEADER + layout.rows * ROW + FOOTER;
  yield `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="${height}">
<title>${escapeXml(`${graph.heading} - ${title.subject}`)}</title>
<style><![CDATA[${FLAME_GRAPH_STYLE}]]></style>
${headerOf(graph, [title.subject, timeOf(profile), `${amountOf(graph.whole, graph)} in all`, ...title.filters])}
`;
  for (const box of layout.boxes) yield frameSvg(box, graph);
  yield `${footerOf(graph, height)}
<script><![CDATA[${FLAME_GRAPH_SCRIPT}]]></script>
</svg>
`;
}

function headerOf(graph: Graph, facts: readonly string[]): string {
  return `<text class="heading" x="${MARGIN}" y="31">${escapeXml(graph.heading)}</text>
<text class="muted" x="${MARGIN}" y="53">${escapeXml(facts.join(' \u00b7 '))}</text>
${legendOf(graph)}
<text id="details" class="muted" x="${MARGIN}" y="100">Point at a frame for its file, click it to zoom in. Ctrl-F searches.</text>
<text id="ruler" x="0" y="0" aria-hidden="true">mmmmmmmmmmmmmmmmmmmm</text>
<svg x="100%" y="0" width="1" height="${HEADER}" overflow="visible">
<foreignObject x="-460" y="10" width="${460 - MARGIN}" height="34" overflow="visible"><div xmlns="http://www.w3.org/1999/xhtml" id="controls" hidden="hidden"><button id="reset" hidden="hidden">Reset zoom</button><input id="search" type="search" placeholder="Search functions and files" aria-label="Search functions and files" autocomplete="off" spellcheck="false"/></div></foreignObject>
<text id="matched" x="-${MARGIN}" y="77" text-anchor="end"></text>
</svg>`;
}

/** Squares with what their colour means. */
function legendOf({ isDifference }: Layout): string {
  const entries = isDifference
    ? ([
        [`more-${STEPS - 2}`, 'more than before'],
        [`less-${STEPS - 2}`, 'less than before'],
      ] as const)
    : ORIGINS.map(([origin, text]) => [`${origin}-1`, text] as const);
  let x = MARGIN;
  return entries
    .map(([colour, text]) => {
      const at = x;
      x += 40 + text.length * 6.3;
      return `<rect class="${colour}" x="${at}" y="67" width="11" height="11" rx="2"/><text class="muted" x="${at + 17}" y="77">${text}</text>`;
    })
    .join('');
}

function footerOf({ whole, leftOut }: Graph, height: number): string {
  const frames = leftOut === 1 ? '1 frame narrower than 0.1 % is' : `${leftOut.toLocaleString('en')} frames narrower than 0.1 % are`;
  const note = whole.change === 0 ? 'There is nothing in this profile.' : leftOut > 0 ? `${frames} left out.` : '';
  return `<text class="muted" x="${MARGIN}" y="${height - 15}">${note}</text>`;
}

function frameSvg(box: Box, graph: Graph): string {
  const { frame, depth, left, width } = box;
  const name = frame === undefined ? 'all' : frame.name || '(anonymous)';
  const place = frame === undefined ? amountOf(box, graph) : shortPlace(frame);
  // Percent with four digits: a millionth, where the narrowest frame is a thousandth.
  return `<svg class="frame" x="${(left * 100).toFixed(4)}%" y="${HEADER + depth * ROW}" width="${(width * 100).toFixed(4)}%" height="${ROW - 1}"><title>${escapeXml(tooltipOf(box, name, graph))}</title><rect class="${colourOf(box, graph)}" width="100%" height="100%" rx="2"/><text x="4" y="13">${escapeXml(name)}<tspan>${escapeXml(place === '' ? '' : ` ${place}`)}</tspan></text></svg>
`;
}

/** Three lines: the function, where it starts, what it has. */
function tooltipOf(box: Box, name: string, graph: Graph): string {
  const { frame, change } = box;
  const share = percent(graph.whole.change > 0 ? change / graph.whole.change : 0);
  const amount = `${amountOf(box, graph)}, ${share}${graph.isDifference ? ' of all that changed' : ''}`;
  return `${name}\n${frame === undefined || frame.file === '' ? '' : fullPlace(frame)}\n${amount}`;
}

/** With its sign in a difference. */
function amountOf({ value }: Box, { unit, isDifference }: Graph): string {
  return `${isDifference && value > 0 ? '+' : ''}${quantity(value, unit)}`;
}

function fullPlace({ file, line, column }: Frame): string {
  return `${file}:${line}${column > 0 ? `:${column}` : ''}`;
}

function colourOf({ frame, value, change }: Box, { isDifference }: Graph): string {
  if (isDifference) {
    const step = Math.ceil((Math.abs(value) / change) * STEPS) - 1;
    return step < 0 || !Number.isFinite(step) ? 'same' : `${value > 0 ? 'more' : 'less'}-${Math.min(step, STEPS - 1)}`;
  }
  if (frame === undefined) return 'engine-0';
  const { origin, group } = originOf(frame);
  return `${origin}-${toneOf(group)}`;
}

/** The same for the same file or package in every graph. */
function toneOf(group: string): number {
  let hash = 0;
  for (let i = 0; i < group.length; i++) hash = (hash * 31 + group.charCodeAt(i)) % 1_000_003;
  return hash % TONES;
}

function headingOf(profile: Profile, { isDifference }: Layout): string {
  const heading = HEADINGS[profile.defaultSampleType] ?? profile.defaultSampleType;
  return isDifference ? `${heading}, difference` : heading;
}

function timeOf({ startEpochMillis, durationMillis }: Profile): string {
  const start = new Date(startEpochMillis).toISOString().slice(0, 19).replace('T', ' ');
  return durationMillis > 0 ? `${(durationMillis / 1000).toFixed(1)} s from ${start} UTC` : `${start} UTC`;
}

function unitOf(profile: Profile): string {
  return profile.sampleTypes.find(({ type }) => type === profile.defaultSampleType)?.unit ?? '';
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Characters that XML cannot hold at all, not even escaped, and halves of surrogate pairs. */
const IMPOSSIBLE = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

function escapeXml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] as string).replaceAll(IMPOSSIBLE, '\ufffd');
}
