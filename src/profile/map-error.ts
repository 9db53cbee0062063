// What a source map is refused with. The worker answers the message, and the service says it with the file's name.

/** A source map that cannot be used; `message` says why in a few words that follow a file name. */
export class MapError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MapError';
  }
}
