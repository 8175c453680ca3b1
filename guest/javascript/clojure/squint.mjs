/**
 * The runtime of the dialect squint: its data are JavaScript's own, so events and results pass as they are.
 */

import * as core from "squint-cljs/core.js";
import { handlerFor, log as emit } from "./runtime.mjs";

/** JSON's data are its own. */
export const read = (value) => value;

/** Its data as JSON's: lazy sequences and sets as arrays. */
export function write(value) {
  if (value === null || typeof value !== "object") return value ?? null;
  if (Array.isArray(value)) return value.map(write);
  if (value instanceof Map) return toObject(value);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return toObject(Object.entries(value));
  // Sets and lazy sequences.
  return typeof value[Symbol.iterator] === "function" ? Array.from(value, write) : value;
}

function toObject(entries) {
  const object = {};
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, { value: write(value), enumerable: true, configurable: true, writable: true });
  }
  return object;
}

function lazyMap(fields) {
  const map = {};
  for (const [name, get] of Object.entries(fields)) Object.defineProperty(map, name, { get, enumerable: true });
  return map;
}

function dataOf(error) {
  const data = core.ex_data(error);
  return data == null ? null : write(data);
}

export const handler = handlerFor({ read, write, lazyMap, dataOf });

export const log = (level, message, fields) => emit(level, core.str(message), fields == null ? null : write(fields));
