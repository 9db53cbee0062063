// The types of peers.mjs, for the tests.
export interface Peer {
  readonly name: string;
  readonly probe: readonly string[];
  readonly debianPackage: string;
}
export declare function ensurePeers(say: (line: string) => void, peers?: readonly Peer[]): Promise<readonly Peer[]>;
