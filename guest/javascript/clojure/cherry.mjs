/**
 * The runtime of the dialect cherry: JSON's data as Clojure's persistent data with keywords for keys, and back.
 */

import * as core from "cherry-cljs/cljs.core.js";
import { handlerFor, log as emit } from "./runtime.mjs";

// `println` and its like go where `console.log` goes.
core.enable_console_print_BANG_();

const keywords = new Map();

function keywordOf(name) {
  let keyword = keywords.get(name);
  if (!keyword) keywords.set(name, (keyword = core.keyword(name)));
  return keyword;
}

/** Up to this many entries a map is searched from its start: to hash keys costs more than to compare a few. */
const SMALL_MAP = 16;

/** JSON's data as Clojure's. */
export function read(value) {
  if (value === null || typeof value !== "object") return value ?? null;
  if (Array.isArray(value)) return core.vec(value.map(read));
  const names = Object.keys(value);
  return names.length <= SMALL_MAP ? smallMap(names, value) : largeMap(names, value);
}

function smallMap(names, value) {
  const entries = new Array(2 * names.length);
  for (let at = 0; at < names.length; at++) {
    entries[2 * at] = keywordOf(names[at]);
    entries[2 * at + 1] = read(value[names[at]]);
  }
  return new core.PersistentArrayMap(null, names.length, entries, null);
}

function largeMap(names, value) {
  let map = core.transient$(core.hash_map());
  for (const name of names) map = core.assoc_BANG_(map, keywordOf(name), read(value[name]));
  return core.persistent_BANG_(map);
}

/** Clojure's data as JSON's. */
export function write(value) {
  if (value === null || typeof value !== "object") return value ?? null;
  if (value instanceof core.Keyword) return core.str(value).slice(1);
  if (core.map_QMARK_(value)) return toObject(value);
  if (core.coll_QMARK_(value)) return toArray(value);
  if (core.symbol_QMARK_(value) || core.uuid_QMARK_(value)) return core.str(value);
  if (core.delay_QMARK_(value) || value instanceof core.Atom || value instanceof core.Volatile) {
    throw new TypeError(`${core.pr_str(core.type(value))} is no data: \`deref\` it`);
  }
  return value;
}

function toObject(map) {
  const object = {};
  core.reduce_kv((_, key, value) => {
    const name = write(key);
    const text = typeof name === "string" ? name : core.pr_str(key);
    // A key `__proto__` must become a property like any other.
    if (text === "__proto__") Object.defineProperty(object, text, { value: write(value), enumerable: true });
    else object[text] = write(value);
    return null;
  }, null, map);
  return object;
}

function toArray(coll) {
  const array = [];
  core.reduce((_, value) => { array.push(write(value)); return null; }, null, coll);
  return array;
}

/** An array map whose values are accessors of its array: each is read when it is looked at, and not before. */
function lazyMap(fields) {
  const entries = [];
  for (const [name, get] of Object.entries(fields)) {
    const at = entries.push(keywordOf(name), null) - 1;
    Object.defineProperty(entries, at, { get, enumerable: true, configurable: true });
  }
  return new core.PersistentArrayMap(null, entries.length / 2, entries, null);
}

function dataOf(error) {
  const data = core.ex_data(error);
  return data == null ? null : write(data);
}

export const handler = handlerFor({ read, write, lazyMap, dataOf });

export const log = (level, message, fields) => emit(level, core.str(message), fields == null ? null : write(fields));
