import { expect, test } from 'vitest';
import { figuresOf, shareOfAdded } from '../../../bench/figures.mjs';

const ROWS = [
  { name: 'bare', title: 'bare' },
  { name: 'defaults', title: 'Sonde' },
  { name: 'prom-client', title: 'prom-client' },
];

const campaign = {
  runs: [
    { row: 'bare', round: 1, micros: 10, requestsPerSecond: 1000 },
    { row: 'defaults', round: 1, micros: 11, requestsPerSecond: 900 },
    { row: 'prom-client', round: 1, micros: 12 },
    { row: 'prom-client', round: 2, micros: 24, requestsPerSecond: 400 },
    { row: 'defaults', round: 2, micros: 22, requestsPerSecond: 480 },
    { row: 'bare', round: 2, micros: 20 },
  ],
  starts: [
    { row: 'defaults', round: 1, millis: 80 },
    { row: 'defaults', round: 2, millis: 60 },
  ],
};

test('a row is measured against the bare run of its own round, wherever that stood in the round', () => {
  const [, defaults] = figuresOf(campaign, ROWS);
  expect(defaults).toMatchObject({ name: 'defaults', rounds: 2 });
  expect(defaults!.addedMicros).toMatchObject({ min: 1, median: 1.5, max: 2 });
  expect(defaults!.ratio).toMatchObject({ min: 1.1, max: 1.1 });
  expect(defaults!.startMillis!.median).toBe(70);
});

test('throughput is compared only in rounds in which both servers were the limit', () => {
  const [, defaults, promClient] = figuresOf(campaign, ROWS);
  expect(defaults!.rateRatio).toMatchObject({ min: 0.9, max: 0.9 });
  expect(promClient!.rateRatio).toBeUndefined();
});

test('a row without runs has no figures', () => {
  const runs = campaign.runs.filter(({ row }) => row !== 'prom-client');
  expect(figuresOf({ runs, starts: [] }, ROWS).map(({ name }) => name)).toEqual(['bare', 'defaults']);
});

test('what share of the cost of another row a row has is that of the medians, where the other adds anything', () => {
  const figures = figuresOf(campaign, ROWS);
  expect(shareOfAdded(figures, 'defaults', 'prom-client')).toBe(0.5);
  expect(shareOfAdded(figures, 'defaults', 'bare')).toBeUndefined();
  expect(shareOfAdded(figures, 'defaults', 'dd-trace')).toBeUndefined();
});
