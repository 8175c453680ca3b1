/** What both engines lack and Node's functions expect. */
import { console } from "./console.js";
import { process } from "./process.js";

for (const [name, value] of Object.entries({ console, process, global: globalThis })) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
globalThis.setImmediate ??= (callback, ...args) => setTimeout(callback, 0, ...args);
globalThis.clearImmediate ??= (timer) => clearTimeout(timer);
