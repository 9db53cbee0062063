// What a read of the engine fails with when the caller can do something about it. serve/ answers the status and
// the message as they are; any other error is a fault of ours.

/** 400: a bad argument. 404: switched off by configuration. 503: cannot be served at this moment. */
export type ProfileErrorStatus = 400 | 404 | 503;

/** A refused read; `message` is one sentence fit to be shown to a person. */
export class ProfileError extends Error {
  readonly status: ProfileErrorStatus;

  constructor(status: ProfileErrorStatus, message: string) {
    super(message);
    this.name = 'ProfileError';
    this.status = status;
  }
}
