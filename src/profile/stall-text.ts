// A block of the event loop in words: the line on standard error, and the page that a person reads in a terminal. Pure.
import type { StallEntry, StallFrame } from './stall-entry.ts';

/**
 * One line: how long, what held the loop, for whom. `request` is what a person calls the request, empty for none; `unsaid` is
 * how many other stalls there have been since the last line.
 */
export function stallLine(entry: StallEntry, request: string, unsaid: number): string {
  const others = unsaid === 0 ? '' : ` (${unsaid} more since the last such line)`;
  const parts = [`event loop blocked ${blockedBy(entry)}${notRunning(entry)}`, request, subject(entry)].filter((part) => part !== '');
  return `${parts.join(', ')}${others}; see /debug/stalls`;
}

/** All of them, a paragraph each. */
export function stallsText(entries: readonly StallEntry[]): string {
  if (entries.length === 0) return 'No block of the event loop.';
  return entries.map(paragraph).join('\n\n');
}

function blockedBy(entry: StallEntry): string {
  const { cause, durationMillis, gcMillis, culprit, share, reason } = entry;
  const length = `${Math.round(durationMillis)} ms`;
  if (cause === 'not running') return `${length}, the process did not run (${reason ?? ''})`;
  if (cause === 'unknown') return `${length}, by what is not known (${reason ?? ''})`;
  if (cause === 'code')
    return share < 0.5 ? `${length}, ${percent(share)} of it by ${culpritText(entry)}` : `${length} by ${culpritText(entry)}`;
  return `${length} by garbage collection (${Math.round(gcMillis)} ms)${culprit === undefined ? '' : ` while in ${place(culprit)}`}`;
}

/** How long the process did not run, where that is not the whole of it and yet a tenth. */
function notRunning({ cause, durationMillis, notRunningMillis }: StallEntry): string {
  if (cause === 'not running' || notRunningMillis < durationMillis / 10) return '';
  return ` (for ${Math.round(notRunningMillis)} ms of it the process did not run)`;
}

/** The culprit, and what of Node or of a dependency it was in. */
function culpritText({ culprit, stack }: StallEntry): string {
  if (culprit === undefined) return 'an unknown function';
  const callee = stack[stack.findIndex((frame) => isSame(frame, culprit)) - 1];
  return callee === undefined ? place(culprit) : `${place(culprit)} in ${place(callee)}`;
}

function isSame(a: StallFrame, b: StallFrame): boolean {
  return a.function === b.function && a.file === b.file && a.line === b.line;
}

function place({ function: name, file, line }: StallFrame): string {
  if (file === '') return name;
  return line === 0 ? `${name} (${file})` : `${name} (${file}:${line})`;
}

function subject({ traceId, spanCount }: StallEntry): string {
  if (traceId !== undefined) return `trace ${traceId}`;
  return spanCount > 1 ? `${spanCount} spans` : '';
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function paragraph(entry: StallEntry): string {
  const { startEpochMillis, durationMillis, route, cause, reason, stack, culprit, share, samples, gcMillis, cpuMillis, notRunningMillis } =
    entry;
  const start = new Date(startEpochMillis).toISOString();
  const head = [start, `${Math.round(durationMillis)} ms`, cause, route ?? '', subject(entry)].filter((part) => part !== '').join('  ');
  const times = [
    ...(culprit !== undefined ? [`${percent(share)} in ${culprit.function}, ${samples} samples`] : []),
    ...(gcMillis >= 1 ? [`${Math.round(gcMillis)} ms of garbage collection`] : []),
    ...(notRunningMillis >= 1 ? [`${Math.round(notRunningMillis)} ms not running`] : []),
    ...(cpuMillis === undefined ? [] : [`${Math.round(cpuMillis)} ms of CPU time`]),
  ].join(', ');
  const lines = [reason ?? '', times, ...stack.map(place)].filter((line) => line !== '');
  return [head, ...lines.map((line) => `    ${line}`)].join('\n');
}
