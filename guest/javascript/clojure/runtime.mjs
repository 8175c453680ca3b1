/**
 * What both dialects share: a handler in Clojure seen as a handler in JavaScript, and the log.
 */

/** The context of the event at work. One instance handles one event, so there is one. */
let current = null;

/**
 * @typedef {object} Data how a dialect's data become JavaScript's, and back
 * @property {(value: unknown) => unknown} read
 * @property {(value: unknown) => unknown} write
 * @property {(fields: Record<string, () => unknown>) => unknown} lazyMap a map that reads a value when it is looked at
 * @property {(error: unknown) => unknown} dataOf what `ex-info` was given, as JavaScript's data, or null
 */

/**
 * Takes an event and a context of JavaScript. Called with anything else, as tests do, it is the function itself.
 *
 * @param {Data} data
 */
export function handlerFor(data) {
  return (handle) => function handler(event, context) {
    if (typeof context?.getRemainingTimeInMillis !== "function") return handle(...arguments);
    current = context;
    try {
      const result = handle(data.read(event), contextOf(context, data));
      return typeof result?.then === "function"
        ? result.then(data.write).catch((error) => { throw failure(error, data); })
        : data.write(result);
    } catch (error) {
      throw failure(error, data);
    }
  };
}

function contextOf(context, { read, lazyMap }) {
  return lazyMap({
    "config": () => read(context.config),
    "request-id": () => context.requestId,
    "function-name": () => context.functionName,
    "channel": () => context.channel,
    "release": () => context.release,
    "trace-id": () => context.traceId ?? null,
    "tenant-id": () => context.tenantId ?? null,
    "remaining-ms": () => () => context.remainingMs(),
    "event-text": () => context.eventText,
    "lambda": () => context,
  });
}

/** An `ex-info` as an error whose name is its `:kind`, and whose properties are the rest of its data. */
function failure(thrown, data) {
  const details = data.dataOf(thrown);
  if (details === null) return thrown;
  const { kind = "ExceptionInfo", ...rest } = details;
  const cause = thrown.cause ?? undefined;
  const error = new Error(thrown.message, cause && { cause: failure(cause, data) });
  const hide = (name, value) => Object.defineProperty(error, name, { value, configurable: true, writable: true });
  hide("name", String(kind));
  hide("stack", thrown.stack);
  for (const name of Object.keys(rest)) {
    Object.defineProperty(error, name in error ? `data.${name}` : name, { value: rest[name], enumerable: true });
  }
  return error;
}

/**
 * Writes a line to the log. Outside of an event, as in tests, it goes to standard error.
 *
 * @param {"debug" | "info" | "warn" | "error"} level
 */
export function log(level, message, fields) {
  if (current?.log) current.log[level](message, fields);
  else console.error(`${level.toUpperCase()} ${message}`, ...(fields ? [JSON.stringify(fields)] : []));
}
