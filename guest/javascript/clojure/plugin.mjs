/**
 * The esbuild plugin for Clojure: finds namespaces, compiles them, and blames what is wrong on the Clojure file.
 */

import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compile, DIALECTS, RUNTIME, SourceError } from "./compile.mjs";
import { fileOfNamespace, missingNamespace } from "./namespaces.mjs";
import { munge, uses } from "./source.mjs";
import { unknownSymbols } from "./symbols.mjs";

const CLOJURE = /\.clj[cs]$/;
const CHERRY_CORE = /cherry-cljs[\\/]lib[\\/]cljs\.core\.js$/;
const HERE = dirname(fileURLToPath(import.meta.url));

/**
 * @param {{dialect?: "cherry" | "squint", folder?: string}} options `folder` is the project's
 * @returns {import("esbuild").Plugin}
 */
export function clojure({ dialect = "cherry", folder = process.cwd() } = {}) {
  if (!Object.hasOwn(DIALECTS, dialect)) {
    throw new TypeError(`dialect: expected "cherry" or "squint", got ${JSON.stringify(dialect)}`);
  }
  const compiled = new Map();
  return {
    name: "clojure",
    setup(build) {
      const resolveIn = { build, folder, compiled };
      build.onResolve({ filter: new RegExp(`^${RUNTIME}$`) }, () => ({ path: resolve(HERE, `${dialect}.mjs`) }));
      build.onResolve({ filter: /^[^./]/ }, (asked) => resolveImport(asked, resolveIn));
      build.onLoad({ filter: CLOJURE }, (asked) => load(asked.path, { build, folder, dialect, compiled }));
      build.onLoad({ filter: CHERRY_CORE }, async (asked) => ({ contents: settled(await readFile(asked.path, "utf8")) }));
      build.onEnd((result) => blame(result, compiled, folder));
    },
  };
}

/** Cherry asks for a random number while it loads: where components are built there is none, and builds would differ. */
const settled = (core) => core.replace('"closure_uid_"+(Math.random()*1E9>>>0)', '"closure_uid_0"');

/** A namespace first: `crunch.stats` may be a package's name too, but then it stands as a string. */
async function resolveImport({ path, importer, kind, pluginData }, { build, folder, compiled }) {
  if (pluginData === "clojure") return undefined;
  const asker = compiled.get(importer);
  const asked = asker?.requires.get(path);
  if (asked) {
    const file = fileOfNamespace(path, folder);
    if (file) return { path: file };
    if (!isBuiltin(path)) return { errors: [message(missingNamespace(path, asker, folder))] };
  }
  // The compilers' own packages are the project's, wherever this SDK itself lies.
  const ours = importer.startsWith(HERE) || asker;
  return ours ? build.resolve(path, { resolveDir: folder, kind, importer, pluginData: "clojure" }) : undefined;
}

const isBuiltin = (path) => /^(?:cherry|squint)-cljs\//u.test(path);

async function load(path, context) {
  try {
    const module = await compileOnce(path, context);
    const unknown = [
      ...(await unknownNames(module, context)),
      ...(await unknownSymbols(module, { esbuild: context.build.esbuild })),
    ];
    if (unknown.length > 0) return { errors: unknown.map(message) };
    const map = Buffer.from(JSON.stringify({ ...module.map, sources: [path] })).toString("base64");
    const contents = `${module.code}\n//# sourceMappingURL=data:application/json;base64,${map}`;
    return { contents, loader: "js", resolveDir: dirname(path) };
  } catch (error) {
    if (error instanceof SourceError) return { errors: [message(error)] };
    throw error;
  }
}

async function compileOnce(path, { folder, dialect, compiled }) {
  if (!compiled.has(path)) compiled.set(path, await compile({ path, folder, dialect }));
  return compiled.get(path);
}

/** What the module takes from namespaces of the project that don't have it. */
async function unknownNames(module, context) {
  const found = [];
  for (const [namespace, required] of module.requires) {
    const path = fileOfNamespace(namespace, context.folder);
    if (!path) continue;
    const library = await compileOnce(path, context);
    const [names, macros] = [exported(library.code), macrosOf(library)];
    for (const { name, token } of uses(module.tokens, required)) {
      if (names.has(munge(name)) || macros.has(name)) continue;
      const text = `\`${namespace}\` has no \`${name}\` (${library.file})`;
      found.push(new SourceError(text, { ...token, ...placeOf(module) }));
    }
  }
  return found;
}

const placeOf = ({ file, text }) => ({ file, text });

function macrosOf({ tokens }) {
  return new Set(tokens.flatMap(({ text }, at) => (text === "defmacro" ? [tokens[at + 1]?.text] : [])));
}

function exported(code) {
  const lists = [...code.matchAll(/^export \{ ([^}]*) \}/gmu)].flatMap(([, names]) => names.split(/,\s*/u));
  return new Set(lists.map((name) => name.split(" as ").at(-1)));
}

/** A name that a library's namespace does not have is esbuild's to find; the place it says is in the JavaScript. */
function blame(result, compiled, folder) {
  const modules = new Map([...compiled.values()].map((module) => [resolve(folder, module.file), module]));
  const moduleOf = ({ id, location }) => id === "import-is-undefined" && location && modules.get(resolve(folder, location.file));
  const errors = result.warnings.filter(moduleOf).map((warning) => {
    const module = moduleOf(warning);
    const name = /"([^"]+)"/u.exec(warning.text)?.[1];
    const token = module.tokens.find(({ text }) => munge(text.split("/").at(-1)) === name);
    return token ? message(new SourceError(`\`${token.text}\` is not defined`, { ...token, ...placeOf(module) })) : warning;
  });
  result.warnings = result.warnings.filter((warning) => !moduleOf(warning));
  return { errors };
}

function message({ message: text, place, hint }) {
  return { text, location: locationOf(place), notes: hint ? [{ text: hint }] : [] };
}

function locationOf({ file, line, column, text }) {
  return { file, line, column: column - 1, length: 1, lineText: text.split("\n")[line - 1] };
}
