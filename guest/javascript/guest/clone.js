/** `structuredClone` on QuickJS, after the HTML Standard, for what there is in a component. */

const ERRORS = new Set(["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"]);

export function structuredClone(value) {
  return copy(value, new Map());
}

function copy(value, seen) {
  if (typeof value === "function" || typeof value === "symbol") throw uncloneable(String(value));
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const shell = shellOf(value, seen);
  seen.set(value, shell);
  if (value instanceof Map) for (const [key, inner] of [...value]) shell.set(copy(key, seen), copy(inner, seen));
  else if (value instanceof Set) for (const inner of [...value]) shell.add(copy(inner, seen));
  else if (Array.isArray(value) || isPlain(value)) for (const key of Object.keys(value)) shell[key] = copy(value[key], seen);
  else if (value instanceof Error && Object.hasOwn(value, "cause")) hide(shell, "cause", copy(value.cause, seen));
  return shell;
}

function shellOf(value, seen) {
  if (Array.isArray(value)) return new Array(value.length);
  if (value instanceof Map) return new Map();
  if (value instanceof Set) return new Set();
  if (value instanceof Date) return new Date(value);
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (value instanceof DataView) return new DataView(copy(value.buffer, seen), value.byteOffset, value.byteLength);
  if (ArrayBuffer.isView(value)) return new value.constructor(copy(value.buffer, seen), value.byteOffset, value.length);
  if (value instanceof Error) return errorShell(value);
  if ([Boolean, Number, String, BigInt].some((boxed) => value instanceof boxed)) return Object(value.valueOf());
  if (isPlain(value)) return {};
  throw uncloneable(Object.prototype.toString.call(value));
}

function errorShell(error) {
  const shell = new (ERRORS.has(error.name) ? globalThis[error.name] : Error)(error.message);
  hide(shell, "stack", error.stack);
  return shell;
}

function hide(error, name, value) {
  Object.defineProperty(error, name, { value, writable: true, configurable: true });
}

/** Instances of classes are copied as plain objects; what the engine itself makes special is not. */
function isPlain(value) {
  return Object.prototype.toString.call(value) === "[object Object]" && !(value instanceof WeakMap) && !(value instanceof WeakSet);
}

function uncloneable(what) {
  return new DOMException(`${what} could not be cloned`, "DataCloneError");
}
