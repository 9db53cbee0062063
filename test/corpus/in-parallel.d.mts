export function inParallel<T, R>(items: readonly T[], count: number, run: (item: T) => Promise<R>): Promise<R[]>;
