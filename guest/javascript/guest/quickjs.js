/** What QuickJS lacks, put into place before the author's code runs. */
import { TextDecoder, TextEncoder } from "./encoding.js";
import * as loop from "./loop.js";
import { Promise } from "./promise.js";
import { isHandling } from "./event.js";
import { crypto, random } from "./random.js";
import { structuredClone } from "./clone.js";

const { queueMicrotask, setTimeout, setInterval, setImmediate, clearTimeout } = loop;

let start;

/** Times count from where the event first asked: the engine's own count from the build. */
const performance = {
  now() {
    if (!isHandling()) return 0;
    start ??= loop.now();
    return loop.now() - start;
  },
  get timeOrigin() {
    return Date.now() - performance.now();
  },
};

/** The engine's own is an async function of its own kind of promise, which nothing would ever settle. */
async function fromAsync(values, map = (value) => value, self = undefined) {
  const results = new this();
  let place = 0;
  for await (const value of values) results[place++] = await map.call(self, value, place - 1);
  return results;
}

const globals = {
  Promise,
  queueMicrotask,
  setTimeout,
  setInterval,
  setImmediate,
  clearTimeout,
  clearInterval: clearTimeout,
  clearImmediate: clearTimeout,
  TextEncoder,
  TextDecoder,
  structuredClone,
  crypto,
  performance,
};
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
Object.defineProperty(Array, "fromAsync", { value: fromAsync, writable: true, configurable: true });
Math.random = random;
Error.stackTraceLimit = 64;
