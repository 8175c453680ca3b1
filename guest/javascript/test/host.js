/**
 * A host for unit tests in Node: `node --import ./test/host.js --test`. The interfaces of the contract and of WASI resolve to
 * this module; `host` says what they answer and collects what they were told.
 */
import { register } from "node:module";

const hooks = `
  const host = ${JSON.stringify(import.meta.url)};
  export async function resolve(specifier, context, next) {
    return /^(wasi|crunchbox):/.test(specifier) ? { url: host, shortCircuit: true } : next(specifier, context);
  }`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

export const host = {
  lines: [],
  level: "trace",
  config: {},
  variables: [["HOME", "/root"]],
  nanoseconds: 0,
};

// wasi:clocks, wasi:random, wasi:cli
export const now = () => host.nanoseconds;
export const subscribeDuration = (nanoseconds) => ({
  block: () => {
    host.nanoseconds += nanoseconds;
  },
  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {},
});
export const getRandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));
export const getEnvironment = () => host.variables;

// crunchbox:function/log, config, invocation
export const threshold = () => host.level;
export const emit = (level, message, fields) => host.lines.push({ level, message, fields });
export const tree = () => {
  if (host.config.code) throw host.config;
  return JSON.stringify(host.config);
};
export const get = ([key]) => JSON.stringify(host.config[key]);
export const requestId = () => "request-1";
export const memoryLimit = () => 128 * 1024 * 1024;
export const remainingMs = () => 1000;
export const identity = () => null;

// crunchbox:function/objects
export const read = () => null;
export const write = () => ({ write() {}, finish() {} });
export const list = () => ({ next: () => [] });
