/** As much of Node's `process` as functions ask for. Its variables are those of an `env` grant. */
import * as host from "wasi:cli/environment@0.2.12";
import { isHandling, needEvent } from "./event.js";

let variables;

function read(name) {
  needEvent(name === undefined ? "`process.env` is read" : `\`process.env.${name}\` is read`, "read it");
  variables ??= Object.fromEntries(host.getEnvironment());
  return variables;
}

/** A handler may set variables for itself; the next event does not see them. */
const env = new Proxy(Object.create(null), {
  get: (_, name) => (typeof name === "symbol" ? undefined : read(name)[name]),
  set: (_, name, value) => {
    read(name)[name] = String(value);
    return true;
  },
  has: (_, name) => typeof name === "string" && name in read(name),
  deleteProperty: (_, name) => delete read(name)[name],
  ownKeys: () => Object.keys(read()),
  getOwnPropertyDescriptor: (_, name) =>
    typeof name === "string" && name in read(name)
      ? { value: read(name)[name], enumerable: true, configurable: true, writable: true }
      : undefined,
});

export const process = {
  env,
  argv: [],
  platform: "wasi",
  version: "",
  versions: {},
  nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
  hrtime: Object.assign(
    ([seconds, nanoseconds] = [0, 0]) => {
      const passed = performance.now() - seconds * 1e3 - nanoseconds / 1e6;
      return [Math.floor(passed / 1e3), Math.floor((passed % 1e3) * 1e6)];
    },
    { bigint: () => BigInt(Math.floor(performance.now() * 1e6)) },
  ),
  uptime: () => (isHandling() ? performance.now() / 1e3 : 0),
  cwd: () => "/",
  emitWarning: (warning) => console.warn(warning),
};
