// Who this process is: the resource attributes of every signal (OpenTelemetry semantic conventions, resource).
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Directories looked through upwards for the application's package.json. */
const PARENTS_MAX = 16;

export interface ResourceOptions {
  readonly serviceName: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  readonly sdkVersion: string;
}

/** A resource as OpenTelemetry's exporters read it, and as the labels of Prometheus' `target_info`. */
export interface ProcessResource {
  readonly attributes: Record<string, string | number>;
  readonly labels: Readonly<Record<string, string>>;
  getRawAttributes(): [string, string | number][];
  merge(): ProcessResource;
}

/** The resource of this process; given attributes win over found ones. */
export function resource(options: ResourceOptions): ProcessResource {
  const attributes = attributesOf(options);
  const entries = Object.entries(attributes);
  const self: ProcessResource = {
    attributes,
    labels: Object.fromEntries(entries.map(([name, value]) => [name, String(value)])),
    getRawAttributes: () => entries,
    // Complete from the start: nothing of the application's is merged into it.
    merge: () => self,
  };
  return self;
}

function attributesOf(options: ResourceOptions): Record<string, string | number> {
  const { serviceName, attributes, sdkVersion } = options;
  const manifest = applicationManifest(process.argv[1]);
  const found: Record<string, string | number> = {
    'service.instance.id': randomUUID(),
    'host.name': hostname(),
    'host.arch': process.arch,
    'os.type': process.platform,
    'process.pid': process.pid,
    'process.executable.name': basename(process.execPath),
    'process.runtime.name': 'nodejs',
    'process.runtime.version': process.versions.node,
    ...(manifest?.version === undefined ? {} : { 'service.version': manifest.version }),
    ...attributes,
  };
  return {
    ...found,
    'service.name': serviceName ?? manifest?.name ?? `unknown_service:${basename(process.execPath)}`,
    'telemetry.sdk.language': 'nodejs',
    'telemetry.sdk.name': 'sonde',
    'telemetry.sdk.version': sdkVersion,
  };
}

interface Manifest {
  readonly name: string;
  readonly version: string | undefined;
}

/** The nearest package.json with a name above the script that Node was started with. */
function applicationManifest(script: string | undefined): Manifest | undefined {
  if (script === undefined) return undefined;
  let directory = dirname(script);
  for (let i = 0; i < PARENTS_MAX; i++) {
    const manifest = readManifest(join(directory, 'package.json'));
    if (manifest !== undefined) return manifest;
    const parent = dirname(directory);
    if (parent === directory) return undefined;
    directory = parent;
  }
  return undefined;
}

function readManifest(path: string): Manifest | undefined {
  try {
    const { name, version } = JSON.parse(readFileSync(path, 'utf8')) as { name?: unknown; version?: unknown };
    return typeof name === 'string' && name !== '' ? { name, version: typeof version === 'string' ? version : undefined } : undefined;
  } catch {
    // Absent, unreadable or not JSON: look further up.
    return undefined;
  }
}
