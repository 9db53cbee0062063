// Values of profiles as a person reads them. Pure.

/** The largest first. */
type Scale = readonly (readonly [number, string])[];

const TIMES: Scale = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'µs'],
  [1, 'ns'],
];

const SIZES: Scale = [
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
  [1, 'B'],
];

const SCALES: ReadonlyMap<string, Scale> = new Map([
  ['nanoseconds', TIMES],
  ['bytes', SIZES],
]);

/** A value of a sample type with three digits and a unit: `1.23 s`, `45.6 MiB`; other units are counts. */
export function quantity(value: number, unit: string): string {
  const scale = SCALES.get(unit);
  if (scale === undefined) return Math.round(value).toLocaleString('en');
  const size = Math.abs(value);
  const [divisor = 1, symbol = ''] = scale.find(([from]) => size >= from) ?? scale.at(-1) ?? [];
  const scaled = value / divisor;
  return `${divisor === 1 ? Math.round(scaled) : scaled.toFixed(digitsAfter(Math.abs(scaled)))} ${symbol}`;
}

/** A share with enough digits to tell small ones: `12.3 %`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(share >= 0.9995 ? 0 : share < 0.01 ? 2 : 1)} %`;
}

function digitsAfter(size: number): number {
  return size < 10 ? 2 : size < 100 ? 1 : 0;
}
