// What every flame graph carries with it: its style and its script, and the policy under which a browser runs exactly
// these two and loads nothing. Called by flame-graph.ts and, for the policy, by serve/.
import { createHash } from 'node:crypto';

/** Colours within one origin, so that neighbours of different files or packages differ. */
export const TONES = 5;

/** Steps of red and blue in a difference. */
export const STEPS = 5;

/** Hue, saturation and lightness of a tone of each origin: on light, and on dark. */
type Tone = (index: number) => readonly [light: string, dark: string];

const TONE_OF: Readonly<Record<string, Tone>> = {
  application: (i) => [hsl(14 + i * 8, 92, 71 - (i % 2) * 4), hsl(12 + i * 6, 64 - i * 2, 40 - i * 1.5 - (i % 2) * 2)],
  dependency: (i) => [hsl(120 + i * 13, 42, 70 - (i % 2) * 4), hsl(125 + i * 12, 32, 32 - (i % 2) * 3)],
  node: (i) => [hsl(201 + i * 4, 74, 80 - (i % 2) * 5), hsl(204 + i * 4, 44, 40 - (i % 2) * 4)],
  engine: (i) => [hsl(220, 9, 83 - i * 2), hsl(220, 7, 36 - i * 2)],
  more: (i) => [hsl(4, 85, 88 - i * 6), hsl(4, 28 + i * 9, 32 + i * 2)],
  less: (i) => [hsl(215, 80, 89 - i * 5), hsl(215, 26 + i * 9, 32 + i * 2)],
};

/** `application-0` and so on, and `same` for what has neither grown nor shrunk. */
function colours(scheme: 0 | 1): string {
  const rules = Object.entries(TONE_OF).flatMap(([name, tone]) =>
    Array.from({ length: TONES }, (_, i) => `.${name}-${i}{fill:${tone(i)[scheme]}}`),
  );
  return [...rules, `.same{fill:${scheme === 0 ? '#e2e2e6' : '#3c3d42'}}`].join('');
}

function hsl(hue: number, saturation: number, lightness: number): string {
  return `hsl(${hue} ${saturation}% ${lightness}%)`;
}

/** The classes paint the rectangle; text is dark on light colours and light on dark ones. */
export const FLAME_GRAPH_STYLE: string = `
:root{color-scheme:light dark;--page:#fff;background:var(--page);--text:#1c1d21;--muted:#63666e;--line:#d9dade;--label:#17181b;--place:#0000008c}
svg,input,button{font:12px/1 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}
text{fill:var(--text)}
.heading{font-size:19px;font-weight:650}
.muted{fill:var(--muted)}
#details,.frame text,#ruler{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
#ruler{visibility:hidden}
.frame{cursor:pointer}
.frame rect{stroke:var(--page);stroke-width:.6}
.frame text{fill:var(--label);pointer-events:none}
.frame tspan{fill:var(--place)}
.frame:hover rect{stroke:var(--text);stroke-width:2}
.frame.above{opacity:.55}
.searching .frame:not(.match) rect{opacity:.3}
.frame.match rect{fill:#c026d3}
.frame.match text,.frame.match tspan{fill:#fff}
#controls{display:flex;justify-content:flex-end;gap:8px;height:100%;align-items:center}
input,button{box-sizing:border-box;height:28px;margin:0;padding:0 10px;border:1px solid var(--line);border-radius:7px;background:transparent;color:var(--text)}
input{width:250px}
button{cursor:pointer}
input:focus-visible,button:focus-visible{outline:2px solid #2f6feb;outline-offset:0}
[hidden]{display:none!important}
${colours(0)}
@media (prefers-color-scheme:dark){
:root{--page:#16171b;--text:#ececef;--muted:#9a9ca5;--line:#3b3d45;--label:#f4f4f6;--place:#ffffff94}
${colours(1)}
.frame.match rect{fill:#b51fc9}
}
`;

/**
 * Frames are nested svg elements, placed in percent of the window: without this script the graph is complete, resizes and
 * clips its texts by itself. The script shortens texts to what fits, zooms and searches. It reads all that it knows from
 * the document: a box that covers another one's place in a row above is its caller.
 */
export const FLAME_GRAPH_SCRIPT: string = `
(() => {
  'use strict';
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const details = byId('details');
  const hint = details.textContent;
  const search = byId('search');
  const matched = byId('matched');
  const reset = byId('reset');
  const TINY = 0.00005;
  const frames = Array.from(document.querySelectorAll('.frame'), (element) => {
    const text = element.querySelector('text');
    const title = element.querySelector('title').textContent;
    return {
      element,
      title,
      key: title.slice(0, title.lastIndexOf('\\n')).toLowerCase(),
      left: parseFloat(element.getAttribute('x')),
      width: parseFloat(element.getAttribute('width')),
      row: Number(element.getAttribute('y')),
      name: text.firstChild,
      place: text.lastChild,
      fullName: text.firstChild.data,
      fullPlace: text.lastChild.textContent,
    };
  });
  const ofElement = new Map(frames.map((frame) => [frame.element, frame]));
  const ruler = byId('ruler');
  const letterWidth = ruler.getComputedTextLength() / ruler.textContent.length || 7.2;
  let zoomed = frames[0];

  const covers = (outer, inner) =>
    outer.left <= inner.left + TINY && outer.left + outer.width >= inner.left + inner.width - TINY;

  const fit = (frame, pixels) => {
    const letters = Math.floor((pixels - 7) / letterWidth);
    const all = frame.fullName.length + frame.fullPlace.length;
    let name = frame.fullName;
    if (letters < 3) name = '';
    else if (letters < name.length) name = name.slice(0, letters - 1) + '\\u2026';
    frame.name.data = name;
    frame.place.textContent = letters >= all ? frame.fullPlace : '';
  };

  const draw = () => {
    const pixels = root.getBoundingClientRect().width;
    for (const frame of frames) {
      const above = frame.row < zoomed.row && covers(frame, zoomed);
      const shown = above || (frame.row >= zoomed.row && covers(zoomed, frame));
      frame.element.toggleAttribute('hidden', !shown);
      if (!shown) continue;
      const left = above ? 0 : ((frame.left - zoomed.left) / zoomed.width) * 100;
      const width = above ? 100 : (frame.width / zoomed.width) * 100;
      frame.element.setAttribute('x', left + '%');
      frame.element.setAttribute('width', width + '%');
      frame.element.classList.toggle('above', above);
      fit(frame, (width / 100) * pixels);
    }
    reset.hidden = zoomed === frames[0];
  };

  const zoom = (frame) => {
    zoomed = frame;
    draw();
  };

  const find = () => {
    const word = search.value.trim().toLowerCase();
    let share = 0;
    let end = -1;
    for (const frame of frames) {
      const hit = word !== '' && frame !== frames[0] && frame.key.includes(word);
      frame.element.classList.toggle('match', hit);
      if (!hit || frame.left < end - TINY) continue;
      share += frame.width;
      end = frame.left + frame.width;
    }
    root.classList.toggle('searching', word !== '');
    matched.textContent = word === '' ? '' : 'Matched: ' + share.toFixed(1) + ' %';
  };

  const frameAt = (event) => ofElement.get(event.target.closest && event.target.closest('.frame'));
  document.addEventListener('click', (event) => {
    const frame = frameAt(event);
    if (frame) zoom(frame);
  });
  document.addEventListener('mouseover', (event) => {
    const frame = frameAt(event);
    details.textContent = frame ? frame.title.split('\\n').filter(Boolean).join(' \\u00b7 ') : hint;
  });
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f' && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === 'Escape') {
      if (search.value === '') zoom(frames[0]);
      search.value = '';
      find();
    }
  });
  search.addEventListener('input', find);
  reset.addEventListener('click', () => zoom(frames[0]));
  window.addEventListener('resize', draw);
  byId('controls').hidden = false;
  draw();
})();
`;

/** The Content-Security-Policy to serve a flame graph with. */
export function flameGraphPolicy(): string {
  const sources = [`script-src '${hash(FLAME_GRAPH_SCRIPT)}'`, `style-src '${hash(FLAME_GRAPH_STYLE)}'`];
  return `default-src 'none'; ${sources.join('; ')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

function hash(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
