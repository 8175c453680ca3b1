/**
 * Random numbers on QuickJS. The engine's own generator was seeded when the component was built, so every event would get
 * the same numbers; this one takes its seed from the host when an event first asks.
 */
import * as host from "wasi:random/random@0.2.12";
import { isHandling, needEvent } from "./event.js";

const MOST_BYTES = 65_536;
const frozen = Math.random;
let state;

/** A number from 0 up to 1, by xoshiro128** (Blackman and Vigna). */
export function random() {
  if (!isHandling()) return frozen();
  state ??= seed();
  return (next() >>> 5) / 2 ** 27 + (next() >>> 6) / 2 ** 53;
}

function seed() {
  const words = new Uint32Array(4);
  new Uint8Array(words.buffer).set(host.getRandomBytes(16));
  return words;
}

function next() {
  const result = Math.imul(rotated(Math.imul(state[1], 5), 7), 9);
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotated(state[3], 11);
  return result;
}

function rotated(word, by) {
  return (word << by) | (word >>> (32 - by));
}

export const crypto = {
  getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || array instanceof DataView || /^Float/.test(array.constructor.name)) {
      throw new DOMException("getRandomValues: expected an array of integers", "TypeMismatchError");
    }
    needEvent("`crypto` is asked for random bytes");
    if (array.byteLength > MOST_BYTES) throw new DOMException(`getRandomValues: expected at most ${MOST_BYTES} bytes`, "QuotaExceededError");
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(host.getRandomBytes(array.byteLength));
    return array;
  },
  randomUUID() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return text.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
};
