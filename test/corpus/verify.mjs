// Proof of the corpus itself, without Sonde: what each program keeps of what it is asked to, measured after forced
// collections, and that the others stay within their bounds.
import { planOf, startLoad, startService } from './watch.mjs';

const MB = 1024 * 1024;
/** Until what is read is the program's alone, and for how long it is read then. V8's young generation grows for some seconds, which disturbs rss. */
const LEAK_SECONDS = { heap: { settle: 2, measure: 8 }, external: { settle: 2, measure: 8 }, native: { settle: 10, measure: 16 } };
const HARMLESS_READINGS = 12;

/** How far what is kept may be from what is asked. */
const TOLERANCE = { heap: 0.15, external: 0.15, native: 0.2 };

/** Of a bound, and beside it: what compiled code and connections come to. */
const BOUND_SLACK = 1.25;
const BESIDE_BOUND_BYTES = 3 * MB;

/** Runs a program bare and answers `{ ok, text }`. */
export async function verify({ program, node, speed, limitMegabytes }) {
  const plan = await planOf({ program, speed, limitMegabytes });
  const { child, base } = await startService({ node: node.binary, program, plan, flags: ['--expose-gc'] });
  let load;
  try {
    const read = async () => JSON.parse(await child.get(`${base}/health`));
    const before = await read();
    load = startLoad(plan, program, base);
    return program.leaks === false ? await verifyBound({ plan, program, read, before }) : await verifyRate({ plan, program, read });
  } catch (error) {
    return { ok: false, text: error.message };
  } finally {
    load?.stop();
    child.end();
  }
}

async function verifyRate({ plan, program, read }) {
  const [kind] = program.leaks.kinds;
  const { settle, measure } = LEAK_SECONDS[kind];
  await wait(settle);
  const first = await read();
  const began = performance.now();
  await wait(measure);
  const last = await read();
  const seconds = (performance.now() - began) / 1000;
  const gained = (name) => last[name] - first[name];
  const native = gained('rss') - gained('residentHeapBytes') - gained('external');
  const kept = { heap: gained('heapUsed'), external: gained('external'), native }[kind];
  const rate = kept / seconds / plan.bytesPerSecond;
  const perSecond = (bytes) => (bytes / seconds / MB).toFixed(2);
  return {
    ok: Math.abs(rate - 1) <= TOLERANCE[kind],
    text: `${(100 * rate).toFixed(0)} % of the rate asked, ${Math.round(kept / gained('units'))} bytes a unit (${program.leaks.bytesPerUnit}); MB/s heap ${perSecond(gained('heapUsed'))}, external ${perSecond(gained('external'))}, beside ${perSecond(native)}, rss ${perSecond(gained('rss'))}; resources ${(gained('resources') / seconds).toFixed(1)}/s`,
  };
}

async function verifyBound({ plan, program, read, before }) {
  const room = plan.limitMegabytes * MB;
  const live = ({ heapUsed, external }) => heapUsed + external - before.heapUsed - before.external;
  const readings = [];
  const beside = [];
  for (let i = 0; i < HARMLESS_READINGS; i++) {
    await wait(plan.seconds / HARMLESS_READINGS);
    const reading = await read();
    readings.push(live(reading));
    beside.push(reading.rss - reading.residentHeapBytes - reading.external);
  }
  const most = Math.max(...readings);
  const bound = program.boundShare * room * BOUND_SLACK + BESIDE_BOUND_BYTES;
  return {
    ok: most <= bound,
    text: `at most ${(most / MB).toFixed(1)} MB (${((100 * most) / room).toFixed(1)} % of the room); MB ${readings.map((bytes) => (bytes / MB).toFixed(1)).join(' ')}; beside ${beside.map((bytes) => (bytes / MB).toFixed(0)).join(' ')}`,
  };
}

function wait(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
