/**
 * The table that maps places of the bundle to places of the author's sources: a source map, cut into one text a line so that
 * an error costs the decoding of the lines in its trace and no more. The build writes it, the guest and the build read it.
 *
 * A line is `COLUMN SOURCE LINE COLUMN …` in base 64 VLQ, each number relative to the one four places before, as in source
 * maps, but beginning anew on each line.
 */

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Uint8Array(128);
for (let value = 0; value < DIGITS.length; value++) VALUES[DIGITS.charCodeAt(value)] = value;

/** Lines to a page. Text is split a page at a time, since QuickJS is slow at going through all of it. */
const PAGE = 64;

/**
 * @typedef {object} Table
 * @property {(string | null)[]} sources  by number; null for what is none of the author's
 * @property {number} from  the first line of the bundle that has a mapping
 * @property {string[]} pages  lines from there on, with `;` between them
 * @property {Record<string, string>} names  what the author calls a function that the bundle calls otherwise
 *
 * @typedef {{source: string, line: number, column: number}} Place  with lines and columns from 1
 */

/**
 * Where in the author's sources a place of the bundle comes from; null where that is none of them.
 * @param {Table} table
 * @returns {Place | null}
 */
export function original({ sources, from, pages }, line, column) {
  const row = line - from;
  const text = row < 0 ? "" : (pages[Math.floor(row / PAGE)]?.split(";")[row % PAGE] ?? "");
  const at = [0, 0, 0, 0];
  let found = null;
  let part = 0;
  for (const number of numbers(text)) {
    at[part++] += number;
    if (part < 4) continue;
    if (at[0] > column - 1) break;
    found = at.slice();
    part = 0;
  }
  if (!found || !sources[found[1]]) return null;
  return { source: sources[found[1]], line: found[2] + 1, column: found[3] + 1 };
}

/**
 * Makes the table of a source map.
 * @param {{sources: (string | null)[], names: string[], mappings: string}} map
 * @param {string} code  the bundle
 * @returns {Table}
 */
export function table({ sources, names, mappings }, code) {
  const texts = code.split("\n");
  const state = { source: 0, line: 0, column: 0, name: 0 };
  const renamed = {};
  const lines = mappings.split(";").map((line, row) => {
    const segments = absolute(line, state);
    for (const { generated, name } of segments) {
      const used = name === undefined ? undefined : /^[\w$]+/.exec(texts[row].slice(generated))?.[0];
      if (used && used !== names[name]) renamed[used] = names[name];
    }
    return relative(segments, sources);
  });
  const first = Math.max(lines.findIndex(Boolean), 0);
  const mapped = lines.slice(first, lines.findLastIndex(Boolean) + 1);
  const pages = Array.from({ length: Math.ceil(mapped.length / PAGE) }, (_, page) => mapped.slice(page * PAGE, (page + 1) * PAGE).join(";"));
  return { sources, from: first + 1, pages, names: renamed };
}

function absolute(line, state) {
  let generated = 0;
  const segments = [];
  for (const segment of line.split(",").filter(Boolean)) {
    const [column, source, sourceLine, sourceColumn, name] = numbers(segment);
    generated += column;
    if (source === undefined) continue;
    state.source += source;
    state.line += sourceLine;
    state.column += sourceColumn;
    if (name !== undefined) state.name += name;
    segments.push({ ...state, generated, name: name === undefined ? undefined : state.name });
  }
  return segments;
}

/** One line of the table; empty where nothing in it is the author's. */
function relative(segments, sources) {
  if (segments.every(({ source }) => !sources[source])) return "";
  let previous = [0, 0, 0, 0];
  let text = "";
  for (const { generated, source, line, column } of segments) {
    const numbers = [generated, source, line, column];
    text += numbers.map((number, part) => encode(number - previous[part])).join("");
    previous = numbers;
  }
  return text;
}

function* numbers(text) {
  let value = 0;
  let scale = 1;
  for (let at = 0; at < text.length; at++) {
    const digit = VALUES[text.charCodeAt(at)];
    value += (digit & 31) * scale;
    scale *= 32;
    if (digit & 32) continue;
    yield value % 2 ? -(value - 1) / 2 : value / 2;
    value = 0;
    scale = 1;
  }
}

function encode(number) {
  let rest = number < 0 ? -number * 2 + 1 : number * 2;
  let text = "";
  do {
    const digit = rest % 32;
    rest = Math.floor(rest / 32);
    text += DIGITS[digit + (rest > 0 ? 32 : 0)];
  } while (rest > 0);
  return text;
}
