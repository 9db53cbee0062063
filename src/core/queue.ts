// A bounded first-in first-out queue on a ring that is allocated once. Full means the newest item is refused
// and counted: what is already queued is older, nearer to being sent, and usually the start of the story.

export class BoundedQueue<T> {
  readonly #ring: (T | undefined)[];
  #head = 0;
  #size = 0;
  #dropped = 0;

  constructor(capacity: number) {
    this.#ring = Array.from<T | undefined>({ length: capacity });
  }

  get size(): number {
    return this.#size;
  }

  /** Items refused since the start because the queue was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds an item; returns false, and counts the drop, when the queue is full. */
  push(item: T): boolean {
    const ring = this.#ring;
    if (this.#size === ring.length) {
      this.#dropped += 1;
      return false;
    }
    let tail = this.#head + this.#size;
    if (tail >= ring.length) tail -= ring.length;
    ring[tail] = item;
    this.#size += 1;
    return true;
  }

  /** Removes and returns the oldest items, at most `max`. */
  take(max: number): T[] {
    const count = Math.min(max, this.#size);
    const items: T[] = [];
    for (let i = 0; i < count; i++) {
      items.push(this.#ring[this.#head] as T);
      this.#ring[this.#head] = undefined;
      this.#head = this.#head + 1 === this.#ring.length ? 0 : this.#head + 1;
    }
    this.#size -= count;
    return items;
  }
}
