// The types of soak.mjs, for the tests.
import type { SoakReport } from './soak/program.ts';

export declare function bundleProgram(): Promise<string>;
export declare function soak(options: { binary: string; file: string; turns: number; isProfiled: boolean }): Promise<SoakReport>;
