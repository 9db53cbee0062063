// What is made of the runs of one campaign: a set of figures for each row, most of them beside the bare run of the same
// round. Pure; the tables, the picture and the baseline are written from these and from nothing else.
import { median, spread } from './statistics.mjs';

/**
 * Answers `{ name, title, ...figures }` for each row that has runs. A figure is `{ median, min, max, lowerQuartile,
 * upperQuartile }` over the rounds; one that could not be measured is undefined.
 */
export function figuresOf({ runs, starts }, rows) {
  const bare = new Map(runs.filter(({ row }) => row === 'bare').map((run) => [run.round, run]));
  return rows
    .map(({ name, title }) => ({
      name,
      title,
      own: runs.filter(({ row }) => row === name),
      starts: starts.filter(({ row }) => row === name),
    }))
    .filter(({ own }) => own.length > 0)
    .map(({ name, title, own, starts: ownStarts }) => ({
      name,
      title,
      rounds: own.length,
      micros: over(own, ({ micros }) => micros),
      addedMicros: over(own, ({ micros, round }) => micros - bare.get(round).micros),
      ratio: over(own, ({ micros, round }) => micros / bare.get(round).micros),
      rateRatio: over(own, ({ requestsPerSecond, round }) => quotient(requestsPerSecond, bare.get(round).requestsPerSecond)),
      p99Millis: over(own, ({ fixedRate }) => fixedRate?.p99),
      maxMillis: over(own, ({ fixedRate }) => fixedRate?.max),
      longestPauseMillis: over(own, ({ fixedRate }) => fixedRate?.longestPauseMillis),
      allocatedBytes: over(own, ({ allocatedBytesPerRequest }) => allocatedBytesPerRequest),
      rssBytes: over(own, ({ rssBytes }) => rssBytes),
      startMillis: over(ownStarts, ({ millis }) => millis),
      othersShare: over(own, ({ others }) => (others === undefined ? undefined : Math.max(...others))),
    }));
}

/** How much of what `other` adds to a request `row` adds; undefined where either is missing or adds nothing. */
export function shareOfAdded(figures, row, other) {
  const [own, theirs] = [row, other].map((name) => figures.find((row) => row.name === name)?.addedMicros.median);
  return own === undefined || !(theirs > 0) ? undefined : own / theirs;
}

/** By how much the median of a figure exceeds bare's; undefined where either is missing. */
export function overBare(figures, row, figure) {
  const bare = figures.find(({ name }) => name === 'bare')?.[figure]?.median;
  return row[figure] === undefined || bare === undefined ? undefined : row[figure].median - bare;
}

/** The largest share of a core that others had in the middle round: what a reader must know before he believes a table. */
export function medianOthersShare(figures) {
  const shares = figures.flatMap(({ othersShare }) => (othersShare === undefined ? [] : [othersShare.median]));
  return shares.length === 0 ? undefined : median(shares);
}

function over(samples, figure) {
  const values = samples.map((sample) => figure(sample)).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : spread(values);
}

function quotient(value, by) {
  return value === undefined || by === undefined ? undefined : value / by;
}
