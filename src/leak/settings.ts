// What of the leak detector can be set. Apart, because the configuration is read in every process and the detector is not.

export interface LeakSettings {
  /** Readings before this are never held against anybody: modules, pools, first caches. */
  readonly warmUpSeconds: number;
  /** The stretch after which a steady rise is a leak whatever its share of the room; all other times are parts of it. */
  readonly windowSeconds: number;
  /** What heap and external memory must gain to be `growing`; twice that makes a suspect, three times a leak. */
  readonly minGrowthBytes: number;
  /** Whether a collection may be forced while the heap grows and V8 does not collect. */
  readonly collectGarbage: boolean;
}

/** For services: half an hour finds 1 MB a minute, and outlasts most caches' filling. */
export const LEAK_SETTINGS: LeakSettings = {
  warmUpSeconds: 10,
  windowSeconds: 1800,
  minGrowthBytes: 4 * 1024 * 1024,
  collectGarbage: true,
};
