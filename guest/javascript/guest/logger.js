/** Log lines: `context.log` and what `console` writes. */
import * as host from "crunchbox:function/log@0.1.0";
import { isHandling } from "./event.js";
import { cut, toJson, toText } from "./text.js";

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];
const LONGEST = 16 * 1024;

let threshold;

/** Whether lines of `level` are written. The host is asked once. */
export function isWritten(level) {
  // Module-level code runs in the build, where there is no log.
  if (!isHandling()) return false;
  threshold ??= LEVELS.indexOf(host.threshold());
  return LEVELS.indexOf(level) >= threshold;
}

/** Writes one line. `message` is made only for lines that are written, so it may be a function. */
export function emit(level, message, fields = {}) {
  if (!isWritten(level)) return;
  const text = typeof message === "function" ? message() : toText(message);
  host.emit(level, cut(text, LONGEST), pairs(fields));
}

function pairs(fields) {
  if (typeof fields !== "object" || fields === null) return [];
  return Object.entries(fields).map(([name, value]) => [toText(name), field(value)]);
}

function field(value) {
  const text = toJson(value instanceof Error ? `${value.name}: ${value.message}` : value);
  return text === null ? JSON.stringify(toText(value)) : cut(text, LONGEST + 1);
}

/** @type {import("../index.js").Log} */
export const log = Object.fromEntries(LEVELS.map((level) => [level, (message, fields) => emit(level, message, fields)]));
