// Names of scripts as V8 gives them, made into paths. Used by profiles and leak verdicts, so that both name a
// file in the same way, one that an editor opens.
import { fileURLToPath } from 'node:url';

/** The path behind the `file:` URL of an ES module; any other script name (`/app.js`, `node:fs`) as it is. */
export function scriptPath(scriptName: string): string {
  if (!scriptName.startsWith('file://')) return scriptName;
  try {
    return fileURLToPath(scriptName);
  } catch {
    // A sourceURL comment may hold anything that begins like a URL.
    return scriptName;
  }
}
