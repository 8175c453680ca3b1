/** Tells values as Node's console does, on one line: `{ station: 'oslo', values: [ 1, 2 ] }`. */
import { toText } from "./text.js";
import { trace } from "./trace.js";

const DEPTH = 2;
const MOST_ENTRIES = 100;
const LONGEST_STRING = 10_000;

/** A message of the console: `%s`, `%d`, `%i`, `%f`, `%j`, `%o`, `%O` and `%c` in a first text take the values that follow. */
export function format(...values) {
  if (typeof values[0] !== "string") return values.map(shown).join(" ").toWellFormed();
  const [pattern, ...rest] = values;
  const message = pattern.replace(/%([sdifjoOc%])/g, (whole, kind) => {
    if (kind === "%") return rest.length < values.length - 1 || values.length > 1 ? "%" : whole;
    return rest.length > 0 ? placed(kind, rest.shift()) : whole;
  });
  return [message, ...rest.map(shown)].join(" ").toWellFormed();
}

function shown(value) {
  return typeof value === "string" ? value : inspect(value);
}

function placed(kind, value) {
  const number = typeof value === "bigint" ? `${value}n` : null;
  switch (kind) {
    case "s":
      return typeof value === "object" && value !== null ? inspect(value, 0) : typeof value === "bigint" ? number : toText(value);
    case "d":
      return number ?? (typeof value === "symbol" ? "NaN" : toText(Object(value) === value ? NaN : Number(value)));
    case "i":
      return number ?? String(parseInt(toText(value), 10));
    case "f":
      return String(parseFloat(toText(value)));
    case "j":
      return attempt(() => JSON.stringify(value), "[Circular]") ?? "undefined";
    case "c":
      return "";
    default:
      return inspect(value, 4);
  }
}

/** Tells one value. Objects deeper than `depth` are told by their class. */
export function inspect(value, depth = DEPTH) {
  return attempt(() => told(value, depth, []), "[unreadable]");
}

function told(value, depth, above) {
  switch (typeof value) {
    case "string":
      return quoted(value.length > LONGEST_STRING ? `${value.slice(0, LONGEST_STRING)}…` : value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "symbol":
      return value.toString();
    case "function":
      return toldFunction(value);
    case "object":
      return value === null ? "null" : above.includes(value) ? "[Circular]" : toldObject(value, depth, [...above, value]);
    default:
      return String(value);
  }
}

function toldFunction(value) {
  if (/^class\b/.test(Function.prototype.toString.call(value))) return `[class ${value.name || "(anonymous)"}]`;
  return value.name ? `[Function: ${value.name}]` : "[Function (anonymous)]";
}

function quoted(text) {
  const mark = ["'", '"', "`"].find((mark) => !text.includes(mark)) ?? "'";
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return mark + escaped.replaceAll(mark, `\\${mark}`) + mark;
}

function toldObject(value, depth, above) {
  if (value instanceof Error) return toldError(value, depth, above);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (typeof value.then === "function" && value instanceof Promise) return "Promise { … }";
  const name = className(value);
  if (depth < 0) return Array.isArray(value) ? "[Array]" : `[${name || "Object"}]`;
  const inner = (entry) => told(entry, depth - 1, above);
  if (Array.isArray(value)) return list("[", "]", entries(value, value.length, inner));
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return `${name}(${value.length}) ${list("[", "]", entries(value, value.length, inner))}`;
  }
  if (value instanceof Set) return `Set(${value.size}) ${list("{", "}", entries(value, value.size, inner))}`;
  if (value instanceof Map) {
    return `Map(${value.size}) ${list("{", "}", entries(value, value.size, ([k, v]) => `${inner(k)} => ${inner(v)}`))}`;
  }
  const prefix = name && name !== "Object" ? `${name} ` : "";
  return prefix + list("{", "}", properties(value, inner));
}

function className(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null ? "[Object: null prototype]" : attempt(() => prototype.constructor.name, "");
}

function toldError(error, depth, above) {
  const frames = trace(toText(error.stack ?? "")).map((line) => `\n    at ${line}`);
  const extra = properties(error, (entry) => told(entry, depth - 1, above), ["name", "message", "stack", "fileName", "lineNumber", "columnNumber"]);
  if (Object.hasOwn(error, "cause")) extra.push(`[cause]: ${told(error.cause, depth, above)}`);
  const name = error.name === "Error" ? className(error) || "Error" : error.name;
  return `${name}${error.message ? `: ${error.message}` : ""}${frames.join("")}${extra.length > 0 ? ` ${list("{", "}", extra)}` : ""}`;
}

function properties(value, inner, without = []) {
  return entries(Object.keys(value).filter((key) => !without.includes(key)), Infinity, (key) => {
    const { get, set } = Object.getOwnPropertyDescriptor(value, key) ?? {};
    const entry = get ? (set ? "[Getter/Setter]" : "[Getter]") : set ? "[Setter]" : inner(value[key]);
    return `${/^[A-Za-z_]\w*$/.test(key) ? key : quoted(key)}: ${entry}`;
  });
}

function entries(values, size, inner) {
  const shown = [];
  for (const value of values) {
    if (shown.length === MOST_ENTRIES) {
      shown.push(Number.isFinite(size) ? `... ${size - MOST_ENTRIES} more` : "... more");
      break;
    }
    shown.push(inner(value));
  }
  return shown;
}

function list(open, close, parts) {
  return parts.length === 0 ? open + close : `${open} ${parts.join(", ")} ${close}`;
}

function attempt(read, otherwise) {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
