// The version of this build, put in by the bundler from package.json.
declare const SONDE_VERSION: string;

export const VERSION: string = SONDE_VERSION;
