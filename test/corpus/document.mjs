// docs/leak-corpus.md from the results that `npm run corpus -- --json` has written.
import { markdown } from './report.mjs';

/** The whole page. */
export function document(results, programs) {
  const list = (wanted) =>
    programs
      .filter(wanted)
      .map(({ name, about, leaks }) => `- \`${name}\`: ${about}${leaks === false ? '' : ` (${leaks.kinds.join(', ')})`}`);
  return `${[HEAD, '## What leaks', list(({ leaks }) => leaks !== false).join('\n'), '## What only looks like it', list(({ leaks }) => leaks === false).join('\n'), '## Results', markdown(results, programs).trim()].join('\n\n')}\n`;
}

const HEAD = `# The corpus of leaks

Programs that leak and programs that only look like it, each a service with a real server under Sonde, with real requests and 4 MB
of ordinary garbage a second. Memory is really kept; nothing of the detector is imitated.

| speed | kept | V8's limit | detector's clock | what does not leak is watched for |
| --- | --- | --- | --- | --- |
| fast | 5 MiB/s | 512 MiB | as it is | 20 s |
| medium | 0.5 MiB/s | 128 MiB | as it is | 60 s |
| slow | 1 MiB/s, for 1 MiB a minute | 128 MiB | 60 times as fast: a window of 30 s for 30 min | 45 s |

The warm-up is 2 s (\`SONDE_LEAKS_WARM_UP_SECONDS=2\`), all else is as it comes. Times count from the first request. The limit is V8's
of the old generation, or of external and native memory the container's (100 MiB more), which is imitated; the time to it is the
room at the start by the rate that was measured. A leak that is not told after 40 % of it is given up. The right line is one of the
function whose line is marked \`// leaks\` in \`test/corpus/programs\`; it must be named by the first or the second finding at the moment
of the verdict \`leak\`. Native memory cannot be attributed within the process: a finding of that kind without a name will do there.

\`npm run corpus -- --node 20,24,26 --speed fast,medium,slow --parallel 3 --json results.json\` repeats it, \`npm run corpus -- --verify\`
proves without Sonde that each program keeps what it is asked to and no more, and \`npm run corpus -- --help\` tells the rest. The fast
speed is part of \`npm test\`.`;
