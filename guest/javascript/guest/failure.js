/** Turns whatever a handler throws into the failure that the host reports. Nothing in here throws. */
import { inspect } from "./inspect.js";
import { cut, toJson, toText } from "./text.js";
import { trace } from "./trace.js";
import { WEB } from "./web.js";

const LONGEST_MESSAGE = 32 * 1024;
const LONGEST_DETAILS = 64 * 1024;
const KIND = /^[A-Za-z0-9._-]{1,128}$/;
const OWN = new Set(["name", "message", "stack", "kind", "fileName", "lineNumber", "columnNumber"]);

/** What an engine says of a name that it does not have. */
const MISSING = /^'?([A-Za-z]+)'? is not defined$/;

/**
 * @param {unknown} thrown
 * @returns {{kind: string, message: string, trace: string[], details: string | null}}
 */
export function failure(thrown) {
  const kind = kindOf(thrown);
  const message = messageOf(thrown);
  const fits = KIND.test(kind) && !kind.startsWith("Crunchbox.");
  return {
    kind: fits ? kind : "Error",
    message: cut(fits ? message : `${kind}: ${message}`, LONGEST_MESSAGE),
    trace: traceOf(thrown),
    details: detailsOf(thrown),
  };
}

/** QuickJS begins a stack in the constructors of the error's own class, which say nothing of what went wrong. */
function traceOf(thrown) {
  const lines = trace(stackOf(thrown));
  const name = attempt(() => thrown.constructor.name);
  return lines[0]?.startsWith(`${name} (`) ? lines.slice(1) : lines;
}

export function stackOf(thrown) {
  return toText(attempt(() => thrown.stack) ?? "");
}

/** The kind of an error: its name; where it has none of its own, its class's. */
export function kindOf(thrown) {
  if (!isErrorLike(thrown)) return "Error";
  const name = attempt(() => thrown.name);
  const named = typeof name === "string" && name !== "" && name !== "Error" ? name : undefined;
  return toText(named ?? (attempt(() => thrown.constructor.name) || "Error")).replace(/^Object$/, "Error");
}

/** One sentence about what was thrown. */
export function messageOf(thrown) {
  const message = isErrorLike(thrown) ? toText(attempt(() => thrown.message) ?? "") : toldValue(thrown);
  const [, name] = MISSING.exec(message) ?? [];
  return WEB.includes(name) ? `${message}; \`${name}\` is there with \`[build] engine = "starlingmonkey"\` in crunchbox.toml` : message;
}

function toldValue(thrown) {
  return typeof thrown === "object" && thrown !== null ? (toJson(thrown) ?? inspect(thrown)).toWellFormed() : toText(thrown);
}

function isErrorLike(thrown) {
  if (typeof thrown !== "object" || thrown === null) return false;
  return attempt(() => thrown instanceof Error || (typeof thrown.message === "string" && typeof thrown.name === "string"));
}

/** What an error holds beside its name and message: its own properties, and its causes. */
function detailsOf(thrown) {
  if (!isErrorLike(thrown)) return null;
  const details = attempt(() => properties(thrown, 0)) ?? {};
  const text = Object.keys(details).length > 0 ? toJson(details) : null;
  return text !== null && text.length <= LONGEST_DETAILS ? text.toWellFormed() : null;
}

function properties(error, depth) {
  const held = {};
  for (const key of Object.keys(error)) if (!OWN.has(key)) held[key] = error[key];
  if (Object.hasOwn(error, "cause")) held.cause = inner(error.cause, depth);
  if (Object.hasOwn(error, "errors") && Array.isArray(error.errors)) held.errors = error.errors.map((e) => inner(e, depth));
  return held;
}

function inner(cause, depth) {
  if (!isErrorLike(cause)) return cause;
  const more = depth < 8 ? properties(cause, depth + 1) : {};
  return { kind: kindOf(cause), message: messageOf(cause), ...more };
}

function attempt(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}
