// Joins the pieces of one trace that the services have kept, each its own, into one tree, with the log lines that
// carry its id. Pure; called by observer.mjs.

/**
 * Chooses the newest of the traces that cross most services. `services` are `{ name, traces, output }`; answers
 * `{ traceId, spans: { service, span, depth }[], logs: { service, line }[] }`, undefined while no trace is kept.
 */
export function chooseTrace(services) {
  const partsById = new Map();
  for (const { name, traces } of services) {
    for (const { traceId, spans } of traces) {
      if (!partsById.has(traceId)) partsById.set(traceId, []);
      partsById.get(traceId).push(...spans.map((span) => ({ service: name, span })));
    }
  }
  const candidates = Array.from(partsById, ([traceId, parts]) => ({
    traceId,
    parts,
    crossed: new Set(parts.map(({ service }) => service)).size,
    startEpochMillis: Math.min(...parts.map(({ span }) => span.startEpochMillis)),
  }));
  candidates.sort((a, b) => b.crossed - a.crossed || b.startEpochMillis - a.startEpochMillis);
  if (candidates.length === 0) return undefined;
  const { traceId, parts } = candidates[0];
  return { traceId, spans: asTree(parts), logs: linesWith(traceId, services) };
}

/** The last JSON line of each service that carries the trace id. */
function linesWith(traceId, services) {
  return services.flatMap(({ name, output }) => {
    const line = output.findLast((text) => text.startsWith('{') && text.includes(traceId));
    return line === undefined ? [] : [{ service: name, line }];
  });
}

/** Spans in the order of their starts, each below its parent; one whose parent is not kept stands at depth 0. */
function asTree(parts) {
  const known = new Set(parts.map(({ span }) => span.spanId));
  const ordered = parts.toSorted((a, b) => a.span.startEpochMillis - b.span.startEpochMillis);
  const below = (parentId, depth) =>
    ordered
      .filter(({ span }) => (known.has(span.parentSpanId) ? span.parentSpanId : undefined) === parentId)
      .flatMap((part) => [{ ...part, depth }, ...below(part.span.spanId, depth + 1)]);
  return below(undefined, 0);
}
