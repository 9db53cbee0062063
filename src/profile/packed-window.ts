// A window of the ring at rest. What a profile holds as text, the ids of traces and spans, takes 150 bytes a sample; here
// it is 24, and fifteen minutes of a service that is always busy fit into the ring. Owned by window-ring.ts.
import { type LabelSet, NO_LABELS, type Profile } from './profile.ts';

/** Words of 32 bits of a trace id and a span id. */
const TRACE_WORDS = 4;
const SPAN_WORDS = 2;
const WORDS: number = TRACE_WORDS + SPAN_WORDS;
const DIGITS_OF_WORD = 8;

export class PackedWindow {
  readonly startEpochMillis: number;
  readonly durationMillis: number;
  /** What the window holds by itself; frames are shared. */
  readonly sizeBytes: number;
  readonly #profile: Profile;
  /** Which of the profile's label sets each had without its ids; `#words` has these, -1 for none. */
  readonly #setOf: Int32Array;
  readonly #idsOf: Int32Array;
  readonly #words: Uint32Array;

  constructor(profile: Profile) {
    const { labelSets } = profile;
    const sets: LabelSet[] = [NO_LABELS];
    const setIds = new Map<string, number>([['{}', 0]]);
    const words: number[] = [];
    this.#setOf = new Int32Array(labelSets.length);
    this.#idsOf = new Int32Array(labelSets.length).fill(-1);
    for (const [index, { trace_id: traceId, span_id: spanId, ...rest }] of labelSets.entries()) {
      const key = JSON.stringify(rest);
      let id = setIds.get(key);
      if (id === undefined) setIds.set(key, (id = sets.push(rest) - 1));
      this.#setOf[index] = id;
      if (traceId === undefined || spanId === undefined) continue;
      this.#idsOf[index] = words.length / WORDS;
      words.push(...wordsOf(traceId, TRACE_WORDS), ...wordsOf(spanId, SPAN_WORDS));
    }
    this.#words = Uint32Array.from(words);
    this.#profile = { ...profile, labelSets: sets };
    this.startEpochMillis = profile.startEpochMillis;
    this.durationMillis = profile.durationMillis;
    this.sizeBytes = this.#countBytes();
  }

  get endEpochMillis(): number {
    return this.startEpochMillis + this.durationMillis;
  }

  /** The profile that was packed; some 0.3 ms for a thousand samples of different spans. */
  unpack(): Profile {
    const { labelSets: sets } = this.#profile;
    const labelSets = Array.from(this.#setOf, (set, index) => {
      const ids = this.#idsOf[index] as number;
      const labels = sets[set] as LabelSet;
      if (ids === -1) return labels;
      const at = ids * WORDS;
      return { ...labels, trace_id: this.#hex(at, TRACE_WORDS), span_id: this.#hex(at + TRACE_WORDS, SPAN_WORDS) };
    });
    return { ...this.#profile, labelSets };
  }

  #hex(at: number, words: number): string {
    let hex = '';
    for (let i = at; i < at + words; i++) hex += (this.#words[i] as number).toString(16).padStart(DIGITS_OF_WORD, '0');
    return hex;
  }

  /** Arrays exactly, a frame as the slot of a shared object, a label set with its texts as 200. */
  #countBytes(): number {
    const { parents, nodeFrames, sampleNodes, sampleLabels, values, frames, labelSets } = this.#profile;
    const arrays = [parents, nodeFrames, sampleNodes, sampleLabels, values, this.#setOf, this.#idsOf, this.#words];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0) + frames.length * 8 + labelSets.length * 200;
  }
}

function wordsOf(hex: string, count: number): number[] {
  return Array.from({ length: count }, (_, word) => Number.parseInt(hex.slice(word * DIGITS_OF_WORD, (word + 1) * DIGITS_OF_WORD), 16));
}
