// A window of the ring at rest. What a profile holds as text, the ids of traces and spans, takes 150 bytes a sample; here
// it is 24, and fifteen minutes of a service that is always busy fit into the ring. Owned by window-ring.ts.
import { type LabelSet, NO_LABELS, type Profile, sizeBytes } from './profile.ts';

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
    const setIds = new Map<string, number>([['', 0]]);
    const words: number[] = [];
    this.#setOf = new Int32Array(labelSets.length);
    this.#idsOf = new Int32Array(labelSets.length).fill(-1);
    for (let index = 0; index < labelSets.length; index++) {
      const labels = labelSets[index] as LabelSet;
      const key = keyOf(labels);
      let id = setIds.get(key);
      if (id === undefined) setIds.set(key, (id = sets.push(withoutIds(labels)) - 1));
      this.#setOf[index] = id;
      const { trace_id: traceId, span_id: spanId } = labels;
      if (traceId === undefined || spanId === undefined) continue;
      this.#idsOf[index] = words.length / WORDS;
      pushWords(words, traceId, TRACE_WORDS);
      pushWords(words, spanId, SPAN_WORDS);
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

  /** As `sizeBytes`, a label set with its texts as 200. */
  #countBytes(): number {
    const arrays = [this.#setOf, this.#idsOf, this.#words];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, sizeBytes(this.#profile)) + this.#profile.labelSets.length * 144;
  }
}

/** Of the labels without the ids; some 0.3 us, a tenth of what JSON takes after copying them. */
function keyOf(labels: LabelSet): string {
  let key = '';
  for (const name in labels) if (name !== 'trace_id' && name !== 'span_id') key += `${name}\0${labels[name]}\0`;
  return key;
}

function withoutIds({ trace_id: _traceId, span_id: _spanId, ...rest }: LabelSet): LabelSet {
  return rest;
}

function pushWords(words: number[], hex: string, count: number): void {
  for (let i = 0; i < count; i++) words.push(Number.parseInt(hex.slice(i * DIGITS_OF_WORD, (i + 1) * DIGITS_OF_WORD), 16));
}
