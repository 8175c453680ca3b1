/** Says more than esbuild does about what people run into when a function of Node moves. */
import { isBuiltin } from "node:module";

/** What to use instead of Node's own modules. */
const INSTEAD = {
  fs: "read objects and files by `context.objects`, and what is known at build time by `import text from \"./file.txt\"` or `import data from \"./file.json\"`",
  "fs/promises": "read objects and files by `context.objects`, and what is known at build time by `import data from \"./file.json\"`",
  http: "use `fetch`",
  https: "use `fetch`",
  net: "use `fetch`; there are no sockets in JavaScript",
  tls: "use `fetch`; there are no sockets in JavaScript",
  crypto: "use the global `crypto` (`randomUUID`, `getRandomValues`, `subtle`)",
  timers: "use the global `setTimeout`",
  "timers/promises": "use `new Promise((resolve) => setTimeout(resolve, milliseconds))`",
  process: "use the global `process` (`env`, `nextTick`, `hrtime`)",
  url: "use the globals `URL` and `URLSearchParams`",
  util: "use `TextEncoder`, `structuredClone` and the console's formats, or the package `util` (`npm install util`)",
  buffer: "use `Uint8Array`, `TextEncoder` and `atob`, or the package `buffer` (`npm install buffer`)",
  events: "use `EventTarget`, or the package `events` (`npm install events`)",
  assert: "throw an error, or use the package `assert` (`npm install assert`)",
  path: "use the package `path-browserify`",
  zlib: "use `CompressionStream`, or the package `fflate`",
  child_process: "a component can't start programs",
  worker_threads: "a component has one thread; the host runs many instances",
};

/**
 * A better message for one of esbuild's, or null.
 * @param {string} text
 */
export function advice(text) {
  const [, name] = /^Could not resolve "(.+)"$/.exec(text) ?? [];
  if (name && isBuiltin(name)) {
    const bare = name.replace(/^node:/, "");
    return { message: `\`${name}\` is Node's own and not there in a component`, hint: INSTEAD[bare] ?? "look for a package that needs no Node" };
  }
  if (name && /^[./]/.test(name)) return { message: `there is no file \`${name}\``, hint: "check the path and its ending" };
  if (name) {
    const [, installed] = /^(@[^/]+\/[^/]+|[^/]+)/.exec(name);
    return { message: `there is no package \`${installed}\``, hint: `npm install ${installed}` };
  }
  if (/^Top-level await/i.test(text)) {
    return { message: "`await` stands outside a function, where nothing can be waited for", hint: "module-level code runs when the component is built; wait inside the handler" };
  }
  return null;
}
