/** The console: each line becomes a log line, at Lambda's level for the method. */
import { format, inspect } from "./inspect.js";
import { emit } from "./logger.js";
import { trace } from "./trace.js";

let indent = "";
const counts = new Map();
const starts = new Map();

const write = (level) => (...values) => emit(level, () => indent + format(...values));
const [debug, info, warn, error] = ["debug", "info", "warn", "error"].map(write);

function elapsed(label) {
  return `${label}: ${(performance.now() - (starts.get(label) ?? performance.now())).toFixed(3)}ms`;
}

export const console = {
  debug,
  info,
  log: info,
  warn,
  error,
  trace: (...values) => {
    const frames = trace(new Error().stack).map((line) => `\n    at ${line}`);
    emit("trace", () => `${indent}Trace: ${format(...values)}${frames.join("")}`);
  },
  assert: (holds, ...values) => holds || error(...(values.length > 0 ? ["Assertion failed:", ...values] : ["Assertion failed"])),
  dir: (value) => info(inspect(value)),
  table: (value) => info(inspect(value)),
  group: (...values) => {
    if (values.length > 0) info(...values);
    indent += "  ";
  },
  groupEnd: () => {
    indent = indent.slice(2);
  },
  count: (label = "default") => {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    info(`${label}: ${counts.get(label)}`);
  },
  countReset: (label = "default") => counts.delete(label),
  time: (label = "default") => starts.set(label, performance.now()),
  timeLog: (label = "default", ...values) => info(elapsed(label), ...values),
  timeEnd: (label = "default") => {
    info(elapsed(label));
    starts.delete(label);
  },
};
console.groupCollapsed = console.group;
