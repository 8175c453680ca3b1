/**
 * Finds which place of a Clojure file each place of its JavaScript comes from. The compilers leave no source map, but they
 * keep names, keywords and texts, and nearly always their order: so the two files are aligned like two versions of one text.
 */

import { munge } from "./source.mjs";

const SCRIPT_TOKEN =
  /(?<regex>(?<=[(,=]\s?|return )\/(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\n\\])+\/)|(?<text>"(?:\\.|[^"\\\n])*")|(?<name>[A-Za-z_$][\w$]*)/gu;

/**
 * @param {object} what
 * @param {import("./source.mjs").Token[]} what.tokens of the Clojure file
 * @param {string} what.code the JavaScript
 * @param {string} what.file the name of the Clojure file
 * @returns {object} a source map, version 3
 */
export function sourceMap({ tokens, code, file }) {
  const from = tokens.filter((token) => token.kind !== "open" && token.kind !== "close");
  const to = scriptTokens(code);
  const anchors = new Map(
    align(from.map(keyOfToken), to.map((token) => token.key)).map(([source, script]) => [to[script], from[source]]),
  );
  return { version: 3, sources: [file], names: [], mappings: mappings(code.split("\n").length, to, anchors) };
}

function keyOfToken({ kind, text }) {
  if (kind === "string") return text;
  if (kind === "keyword") return JSON.stringify(text.replace(/^:+/u, ""));
  return munge(text.replace(/^\.-?|^.+\/|\.$/gu, ""));
}

function scriptTokens(code) {
  const found = [];
  let [line, lineStart, scanned] = [0, 0, 0];
  for (const { index, 0: lexeme, groups } of code.matchAll(SCRIPT_TOKEN)) {
    for (; scanned < index; scanned++) {
      if (code[scanned] === "\n") [line, lineStart] = [line + 1, scanned + 1];
    }
    // Locals and gensyms get a number at their end.
    if (!groups.regex) found.push({ key: lexeme.replace(/_\d+$/u, ""), line, column: index - lineStart });
  }
  return found;
}

/** Pairs of indices, rising on both sides: what is unique in both first, then the gaps between (a patience diff). */
function align(a, b) {
  const pairs = [];
  const gaps = [[0, a.length, 0, b.length]];
  while (gaps.length > 0) {
    const [aStart, aEnd, bStart, bEnd] = gaps.pop();
    const anchors = longestRising(uniquePairs(a, aStart, aEnd, b, bStart, bEnd));
    pairs.push(...anchors);
    if (anchors.length === 0) continue;
    let [aLast, bLast] = [aStart, bStart];
    for (const [aAt, bAt] of [...anchors, [aEnd, bEnd]]) {
      if (aAt > aLast && bAt > bLast) gaps.push([aLast, aAt, bLast, bAt]);
      [aLast, bLast] = [aAt + 1, bAt + 1];
    }
  }
  return pairs;
}

function uniquePairs(a, aStart, aEnd, b, bStart, bEnd) {
  const seen = new Map();
  const note = (key, side, at) => {
    const places = seen.get(key) ?? { a: [], b: [] };
    places[side].push(at);
    seen.set(key, places);
  };
  for (let at = aStart; at < aEnd; at++) note(a[at], "a", at);
  for (let at = bStart; at < bEnd; at++) note(b[at], "b", at);
  return [...seen.values()]
    .filter((places) => places.a.length === 1 && places.b.length === 1)
    .map((places) => [places.a[0], places.b[0]]);
}

/** The longest part of the pairs (sorted by their first index) whose second index rises too. */
function longestRising(pairs) {
  const ends = [];
  const before = new Map();
  for (const pair of pairs) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle][1] < pair[1]) low = middle + 1;
      else high = middle;
    }
    before.set(pair, ends[low - 1]);
    ends[low] = pair;
  }
  const rising = [];
  for (let pair = ends.at(-1); pair; pair = before.get(pair)) rising.unshift(pair);
  return rising;
}

/** Each line starts where its first known token does, or else where the last known one was. */
function mappings(lineCount, scriptTokens, anchors) {
  const lines = Array.from({ length: lineCount }, () => []);
  for (const token of scriptTokens) {
    const source = anchors.get(token);
    if (source) lines[token.line].push({ column: token.column, source });
  }
  let last = null;
  const before = { line: 0, column: 0 };
  return lines.map((known) => {
    const start = known[0]?.source ?? last;
    last = known.at(-1)?.source ?? last;
    const segments = start && known[0]?.column !== 0 ? [{ column: 0, source: start }, ...known] : known;
    return encodeLine(segments, before);
  }).join(";");
}

function encodeLine(segments, before) {
  let column = 0;
  return segments.map((segment) => {
    const { line, column: sourceColumn } = segment.source;
    const fields = [segment.column - column, 0, line - 1 - before.line, sourceColumn - 1 - before.column];
    column = segment.column;
    [before.line, before.column] = [line - 1, sourceColumn - 1];
    return fields.map(base64Vlq).join("");
  }).join(",");
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function base64Vlq(number) {
  let rest = number < 0 ? (-number << 1) | 1 : number << 1;
  let text = "";
  do {
    const digit = rest & 31;
    rest >>>= 5;
    text += BASE64[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return text;
}
