import { posix, win32 } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageOf } from '../../../src/instrument/package-directory.ts';

describe('the package that a file belongs to', () => {
  it.each([
    ['/app/node_modules/pino/pino.js', 'pino', '/app/node_modules/pino'],
    ['/app/node_modules/@scope/lib/dist/index.js', '@scope/lib', '/app/node_modules/@scope/lib'],
    ['/app/node_modules/a/node_modules/b/index.js', 'b', '/app/node_modules/a/node_modules/b'],
    ['/app/node_modules/.pnpm/b@1.0.0/node_modules/b/i.js', 'b', '/app/node_modules/.pnpm/b@1.0.0/node_modules/b'],
    [String.raw`C:\app\node_modules\pino\pino.js`, 'pino', String.raw`C:\app\node_modules\pino`],
    [String.raw`C:\app\node_modules\@scope\lib\i.js`, '@scope/lib', String.raw`C:\app\node_modules\@scope\lib`],
  ])('%s is of %s', (filename, name, root) => {
    expect(packageOf(filename, filename.startsWith('C:') ? win32.sep : posix.sep)).toEqual({ name, root });
  });

  it.each(['/app/pino.js', '/app/my_node_modules/pino/pino.js', '/app/node_modules_old/pino/pino.js', 'node_modules/pino'])(
    '%s is of none',
    (filename) => {
      expect(packageOf(filename)).toBeUndefined();
    },
  );
});
