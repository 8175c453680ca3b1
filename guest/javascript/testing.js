/** A made-up context for unit tests, which need no component: `node --test`. */

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];
const MINUTE = 60_000;

/**
 * @param {import("./testing.js").Made} [made]
 * @returns {ReturnType<typeof import("./testing.js").context>}
 */
export function context({ config = {}, objects = {}, ...facts } = {}) {
  const lines = [];
  const stored = new Map(Object.entries(objects).map(([at, content]) => [at, bytes(content)]));
  const emit = (level) => (message, fields = {}) => {
    lines.push({ level, message: String(message), fields });
  };
  return {
    config,
    configAt: (...path) => path.reduce((table, key) => table?.[key], config),
    log: Object.fromEntries(LEVELS.map((level) => [level, emit(level)])),
    objects: store(stored),
    lines,
    written: stored,
    eventText: "null",
    requestId: "00000000-0000-4000-8000-000000000000",
    awsRequestId: "00000000-0000-4000-8000-000000000000",
    functionName: "test",
    functionVersion: "test",
    channel: "local",
    release: "test",
    memoryLimitInMB: "128",
    logGroupName: "/aws/lambda/test",
    logStreamName: "test",
    callbackWaitsForEmptyEventLoop: true,
    remainingMs: () => MINUTE,
    getRemainingTimeInMillis: () => MINUTE,
    ...facts,
  };
}

function store(stored) {
  return {
    read: async (at) => stored.get(at) ?? null,
    readText: async (at) => (stored.has(at) ? new TextDecoder().decode(stored.get(at)) : null),
    write: async (at, content) => {
      stored.set(at, bytes(content));
    },
    async *list(prefix) {
      for (const at of [...stored.keys()].sort()) {
        if (at.startsWith(prefix)) yield { at, size: stored.get(at).length, modified: new Date(0) };
      }
    },
  };
}

function bytes(content) {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}
