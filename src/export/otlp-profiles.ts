// OTLP export of profiles (`/v1development/profiles`). Experimental: the protocol is Alpha and has changed its field numbers
// before; this is opentelemetry-proto 1.10. sdk.ts makes the exporter when it is asked for. A profile of ours becomes one for
// each of its sample types, without the count of hits.
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { inTurns } from '../core/turns.ts';
import type { Frame } from '../profile/frame.ts';
import type { Profile } from '../profile/profile.ts';
import { jsonOrigin, profilesJson } from './otlp-profile-json.ts';
import { profilesProtobuf, protobufOrigin } from './otlp-profile-protobuf.ts';
import { ProfileTables } from './otlp-profile-tables.ts';
import type { OtlpOptions, OtlpProtocol } from './otlp.ts';
import { ProfileExporter, type ProfileEncoding, type ProfileExporterDeps, type ProfileExporterOptions } from './profile-exporter.ts';

export type OtlpProfilesOptions = OtlpOptions & ProfileExporterOptions;

/** What the exporter of profiles is handed besides. */
export interface OtlpProfilesDeps extends ProfileExporterDeps {
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  /** What a function is shown as. */
  readonly functionName: (frame: Frame) => string;
}

/** An exporter that is not started. */
export function otlpProfilesExporter(options: OtlpProfilesOptions, deps: OtlpProfilesDeps): ProfileExporter {
  const write = requestWriter(options.protocol, deps);
  const encoding: ProfileEncoding = {
    part: 'otlp:profiles',
    protocol: async () => (await import('./otlp-codec.ts')).profilesProtocol(options.protocol),
    encode: async (profiles) => {
      const tables = new ProfileTables(deps.functionName);
      const value = await inTurns(request(tables, profiles, write));
      return tables.profiles.length === 0 ? [] : [{ items: tables.profiles.length, value }];
    },
  };
  return new ProfileExporter(options, deps, encoding);
}

type RequestWriter = (tables: ProfileTables) => Generator<number, Uint8Array>;

function requestWriter(protocol: OtlpProtocol, { resource, scope }: OtlpProfilesDeps): RequestWriter {
  if (protocol === 'http/json') {
    const origin = jsonOrigin(resource, scope);
    return (tables) => profilesJson(tables, origin);
  }
  const origin = protobufOrigin(resource, scope);
  return (tables) => profilesProtobuf(tables, origin);
}

function* request(tables: ProfileTables, profiles: readonly Profile[], write: RequestWriter): Generator<number, Uint8Array> {
  for (const profile of profiles) yield* tables.add(profile);
  return yield* write(tables);
}
