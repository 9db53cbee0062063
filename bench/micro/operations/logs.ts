// The log line: pino inside a request, with Sonde's ids at its end. The bound is a line without ids; the peer is what one
// writes by hand, a mixin.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { DestinationStream, Logger, LoggerOptions } from 'pino';
import { activeIds, enter } from '../../../src/core/context.ts';
import { correlatePino } from '../../../src/logs/pino.ts';
import { operation, subject, type Operation, type Subject } from '../operation.ts';
import { wireParts } from '../parts.ts';

type Pino = (options: LoggerOptions, stream: DestinationStream) => Logger;

const PRODUCTS = ['apple', 'plum', 'pear', 'fig', 'quince', 'cherry', 'grape', 'lemon'];

/** Where lines go: to a function that counts them, or to a file that keeps nothing. */
type Destination = 'no-op stream' | '/dev/null';

export function pinoLine(destination: Destination): Operation {
  const { guard, tracing } = wireParts();
  const span = tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
  const ids = { trace_id: span.traceId, span_id: span.spanId, trace_flags: '01' };
  const storage = new AsyncLocalStorage<typeof ids>();
  // Sonde patches what all loggers of one copy of pino share, so ours is a copy of its own.
  const [pino, plainPino] = [copyOfPino(), copyOfPino()];
  correlatePino(pino, activeIds, guard);
  return operation({
    enter: () => {
      enter(span);
      storage.enterWith(ids);
    },
    ours: lines(destination, { pino, options: {}, traceId: span.traceId }),
    bound: lines(destination, { pino: plainPino, options: {}, traceId: undefined }),
    boundIs: 'a pino line without ids',
    peers: {
      'mixin by hand': lines(destination, { pino: plainPino, options: { mixin: () => storage.getStore() ?? {} }, traceId: span.traceId }),
    },
  });
}

function copyOfPino(): Pino {
  for (const file of Object.keys(require.cache)) if (/node_modules[\\/]pino[\\/]/.test(file)) delete require.cache[file];
  return require('pino') as Pino;
}

interface Expected {
  readonly pino: Pino;
  readonly options: LoggerOptions;
  /** In each line. */
  readonly traceId: string | undefined;
}

function lines(destination: Destination, { pino, options, traceId }: Expected): Subject {
  const stream = destination === '/dev/null' ? fileThatKeepsNothing(pino) : new LastLine();
  const logger = pino(options, stream);
  let at = 0;
  const run = (): unknown => {
    at = (at + 1) & 7;
    logger.info({ product: PRODUCTS[at], quantity: at }, 'order accepted');
    return stream instanceof LastLine ? stream.line : undefined;
  };
  if (stream instanceof LastLine)
    return subject(run, { isRight: (line) => (JSON.parse(String(line)) as { trace_id?: string }).trace_id === traceId });
  let bytes = 0;
  stream.on('write', (written) => (bytes += written));
  // The size of a line stands for its content, which the other destination has shown.
  const lineBytes = traceId === undefined ? 60 : 160;
  let [counted, seen] = [0, 0];
  return subject(
    () => {
      counted += 1;
      return run();
    },
    {
      effects: () => {
        if (counted > seen && bytes < (counted - seen) * lineBytes) throw new Error(`${bytes} bytes written of ${counted - seen} lines`);
        [bytes, seen] = [0, counted];
        return counted;
      },
    },
  );
}

class LastLine {
  line = '';

  write(line: string): void {
    this.line = line;
  }
}

type File = DestinationStream & { on(event: 'write', listener: (bytes: number) => void): void };

function fileThatKeepsNothing(pino: Pino): File {
  const { destination } = pino as unknown as { destination(options: { dest: string; sync: boolean }): File };
  return destination({ dest: '/dev/null', sync: true });
}
