/**
 * Finds symbols that mean nothing. The compilers take an unknown symbol for a global of JavaScript, which would fail
 * only when that line runs.
 */

import { SourceError } from "./compile.mjs";
import { munge } from "./source.mjs";

const HINTS = {
  defrecord: "cherry has no records: use maps, or `deftype`",
  defmacro: "macros live in a file of their own: (:require-macros [my.macros :refer [m]])",
  future: "a component has one thread: use promises and `js-await`",
  ref: "a component has one thread: use an `atom`",
  dosync: "a component has one thread: use an `atom`",
  agent: "a component has one thread: use an `atom`",
  slurp: "there are no files: see `[grants]` for objects",
  defhandler: "`(:require [crunchbox.core :refer [defhandler]])`, at the top level of the namespace",
};

const RESERVED = new Set(
  ("break case catch class const continue debugger default delete do else enum export extends false finally for function if"
    + " implements import in instanceof interface let new null package private protected public return static super switch"
    + " this throw true try typeof var void while with yield await arguments eval").split(" "),
);

/**
 * esbuild takes an injected name only where the code has none of its own, so what it takes is what is unknown.
 *
 * @param {Awaited<ReturnType<import("./compile.mjs").compile>>} module
 * @param {{esbuild: import("esbuild")}} context
 * @returns {Promise<SourceError[]>}
 */
export async function unknownSymbols(module, { esbuild }) {
  const words = candidates(module.tokens);
  if (words.size === 0) return [];
  const result = await bundle(module, words, esbuild);
  const [{ text }] = result.outputFiles;
  const unknown = new Set([...text.matchAll(/\$unknown\("([^"]+)"\)/gu)].map(([, name]) => name));
  const found = [...words].filter(([name]) => unknown.has(name)).map(([, token]) => token);
  // An unknown macro leaves the names it would bind unknown too.
  const hinted = found.filter(({ text: word }) => Object.hasOwn(HINTS, word));
  return (hinted.length > 0 ? hinted : found).map((token) => notKnown(token, module));
}

async function bundle({ code, file, text }, words, esbuild) {
  try {
    return await esbuild.build(options(code, words));
  } catch (error) {
    const [{ text: problem, location }] = error.errors;
    throw new SourceError(
      `compiled to what is no JavaScript: ${problem}, near \`${location?.lineText.slice(0, 200)}\``,
      { file, line: 1, column: 1, text },
    );
  }
}

function options(code, words) {
  return {
    stdin: { contents: code, loader: "js" },
    inject: ["crunchbox:symbols"],
    plugins: [injected(words)],
    bundle: true,
    write: false,
    format: "esm",
    logLevel: "silent",
  };
}

function candidates(tokens) {
  const words = new Map();
  for (const token of tokens) {
    if (token.kind !== "word" || token.text.includes("/") || token.text.startsWith(".")) continue;
    const name = munge(token.text.split(".")[0]);
    const usable = /^[A-Za-z_$][\w$]*$/u.test(name) && !RESERVED.has(name) && !(name in globalThis);
    if (usable && !words.has(name)) words.set(name, token);
  }
  return words;
}

function injected(words) {
  const exported = [...words.keys()].map((name) => `export const ${name} = /* @__PURE__ */ $unknown("${name}");`);
  return {
    name: "symbols",
    setup(build) {
      build.onResolve({ filter: /./ }, ({ path }) =>
        path === "crunchbox:symbols" ? { path, namespace: "symbols", sideEffects: false } : { path, external: true });
      build.onLoad({ filter: /./, namespace: "symbols" }, () => ({ contents: exported.join("\n") }));
    },
  };
}

function notKnown(token, { file, text }) {
  const global = `a global of JavaScript is \`js/${token.text}\``;
  const hint = Object.hasOwn(HINTS, token.text) ? HINTS[token.text] : global;
  return new SourceError(`\`${token.text}\` is not defined`, { ...token, file, text }, hint);
}
