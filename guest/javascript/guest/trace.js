/** Stacks of both engines, told in places of the author's sources. Frames of the SDK and of the engine are left out. */
import { original } from "./mappings.js";

const MOST = 64;

// QuickJS writes `    at inner (componentize-qjs:user.js:9:9)`, StarlingMonkey `async*inner@source.js:9:9`.
const QUICKJS = /^\s*at (?:(.*?) \()?(?:componentize-qjs:)?user\.js:(\d+):(\d+)\)?$/;
const LOWERED = /^\s*at __async(?:Generator)? \(/;
const STARLINGMONKEY = /^(?:async\*)?(.*?)@source\.js:(\d+):(\d+)$/;

/**
 * The lines `inner (src/handler.js:7:12)` of a stack, innermost first.
 * @param {string} stack
 * @param {import("./mappings.js").Table | undefined} table
 * @returns {string[]}
 */
export function trace(stack, table = globalThis[Symbol.for("crunchbox.mappings")]) {
  const frames = [];
  let isLowered = false;
  for (const text of stack.split("\n")) {
    const frame = framed(text, table);
    if (!frame) isLowered ||= LOWERED.test(text);
    // An async function was lowered to a generator without a name, in a function with the name.
    else if (isLowered && frame.name && frames.at(-1)?.name === "") frames.at(-1).name = frame.name;
    else frames.push(frame);
    if (frame) isLowered = false;
    if (frames.length === MOST) break;
  }
  return frames.map(({ name, place }) => (name ? `${name} (${place})` : place));
}

function framed(text, table) {
  const [, name, line, column] = QUICKJS.exec(text) ?? STARLINGMONKEY.exec(text) ?? [];
  const place = table && line && original(table, Number(line), Number(column));
  return place ? { name: plain(name, table.names), place: `${place.source}:${place.line}:${place.column}` } : null;
}

/** The author's name of a frame's function; StarlingMonkey tells a nameless one within `handler` as `handler/<`. */
function plain(name = "", names = {}) {
  const bare = name.replace(/(\/?<)+$/, "").replace(/^.*\//, "");
  return name === "<anonymous>" ? "" : (names[bare] ?? bare);
}
