// The picture of docs/overhead.md: what each row adds to a request, one panel of bars for each application, all rows of
// a panel on one linear scale. An SVG written by hand that reads on a dark page and on a light one.

const WIDTH = 860;
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const PANEL_GAP = 34;
const MARGIN = 20;
const HEADER_HEIGHT = 58;

const STYLE = `
    text { fill: #24292f; font: 13px system-ui, sans-serif }
    .title { font-size: 17px; font-weight: 600 }
    .panel { font-weight: 600 }
    .note { fill: #57606a; font-size: 12px }
    .page { fill: #fbfaf7 }
    .sonde { fill: #2a7a5b }
    .peer { fill: #a3a9b1 }
    .spread { stroke: #24292f; stroke-width: 1.3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .note { fill: #9da7b1 }
      .page { fill: #161b22 }
      .sonde { fill: #4cb78d }
      .peer { fill: #6b737d }
      .spread { stroke: #e6edf3 }
    }`;

/** `entries` are the baseline's entries of one Node. Answers the SVG. */
export function drawPicture(entries) {
  let y = HEADER_HEIGHT;
  const panels = entries.map((entry) => {
    const panel = drawPanel(entry, y);
    y = panel.end + PANEL_GAP;
    return panel.svg;
  });
  const height = y - PANEL_GAP + MARGIN;
  const versions = [...new Set(entries.map(({ nodeVersion }) => nodeVersion))].join(', ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="CPU time added to a request, by row and application">
  <style>${STYLE}
  </style>
  <rect class="page" width="${WIDTH}" height="${height}" rx="10"/>
  <text class="title" x="${MARGIN}" y="32">CPU time added to a request, microseconds</text>
  <text class="note" x="${WIDTH - MARGIN}" y="32" text-anchor="end">Node ${versions}; median, line: smallest to largest round</text>
${panels.join('\n')}
</svg>
`;
}

function drawPanel({ title, figures }, top) {
  const rows = figures.filter(({ name }) => name !== 'bare');
  const bare = figures.find(({ name }) => name === 'bare').micros.median;
  const largest = Math.max(...rows.map(({ addedMicros }) => addedMicros.max), 1);
  const scale = (WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH) / largest;
  const bars = rows.map((row, index) => drawBar(row, { y: top + 12 + index * ROW_HEIGHT, scale }));
  const heading = `  <text x="${MARGIN}" y="${top}"><tspan class="panel">${escape(title)}</tspan> <tspan class="note">(bare: ${bare.toFixed(1)})</tspan></text>`;
  return { svg: [heading, ...bars].join('\n'), end: top + 12 + rows.length * ROW_HEIGHT };
}

function drawBar({ name, title, addedMicros }, { y, scale }) {
  const isSonde = ['off', 'defaults', 'unprofiled', 'otlp'].includes(name);
  const x = MARGIN + LABEL_WIDTH;
  const at = (micros) => (x + Math.max(0, micros) * scale).toFixed(1);
  const width = (Math.max(0, addedMicros.median) * scale).toFixed(1);
  const middle = y + BAR_HEIGHT / 2;
  const value = `${addedMicros.median < 0 ? '' : '+'}${addedMicros.median.toFixed(1)}`;
  return [
    `  <text x="${x - 10}" y="${y + 13.5}" text-anchor="end">${escape(title)}</text>`,
    `  <rect class="${isSonde ? 'sonde' : 'peer'}" x="${x}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
    `  <path class="spread" d="M${at(addedMicros.min)} ${middle}H${at(addedMicros.max)}"/>`,
    `  <text x="${Number(at(Math.max(addedMicros.median, addedMicros.max))) + 8}" y="${y + 13.5}">${value}</text>`,
  ].join('\n');
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
