/**
 * Hooks for Node's module loader, so that tests in Clojure run without WebAssembly. `crunchbox/register` installs them.
 */

import { readFileSync } from "node:fs";
import { dirname, resolve as resolvePath } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { compile, RUNTIME } from "./compile.mjs";
import { fileOfNamespace, missingNamespace } from "./namespaces.mjs";

const CLOJURE = /\.clj[cs]$/u;
const HERE = new URL(".", import.meta.url).href;
const folder = process.cwd();
const compiled = new Map();

const dialect = (() => {
  const manifest = JSON.parse(readFileSync(resolvePath(folder, "package.json"), "utf8"));
  const packages = { ...manifest.dependencies, ...manifest.devDependencies };
  return "squint-cljs" in packages && !("cherry-cljs" in packages) ? "squint" : "cherry";
})();

/** Node's `resolve` hook. */
export async function resolve(specifier, context, next) {
  if (specifier === RUNTIME) return { url: new URL(`${dialect}.mjs`, HERE).href, shortCircuit: true };
  const asker = compiled.get(context.parentURL);
  if (asker?.requires.has(specifier)) {
    const path = fileOfNamespace(specifier, folder);
    if (path) return { url: pathToFileURL(path).href, shortCircuit: true };
    throw located(missingNamespace(specifier, asker, folder));
  }
  // The compilers' own packages are the project's, wherever this SDK itself lies.
  const bare = /^[^./]/u.test(specifier) && !specifier.includes(":");
  const ours = context.parentURL?.startsWith(HERE) && bare;
  return next(specifier, ours ? { ...context, parentURL: pathToFileURL(resolvePath(folder, "package.json")).href } : context);
}

/** Node's `load` hook. */
export async function load(url, context, next) {
  if (!CLOJURE.test(url)) return next(url, context);
  try {
    const path = fileURLToPath(url);
    const module = await compile({ path, folder, dialect });
    compiled.set(url, module);
    const map = { ...module.map, sources: [url], sourceRoot: "" };
    const source = `${module.code}${runner(module)}\n//# sourceMappingURL=data:application/json;base64,`
      + Buffer.from(JSON.stringify(map)).toString("base64");
    return { format: "module", source, shortCircuit: true };
  } catch (error) {
    throw error.place ? located(error) : error;
  }
}

/** A namespace that requires `clojure.test` is run: its exit code tells `node --test` what came of it. */
function runner({ code, tokens }) {
  if (!/import \* as clojure_DOT_test |import \* as cljs_DOT_test /u.test(code)) return "";
  const library = /import \* as clojure_DOT_test /u.test(code) ? "clojure_DOT_test" : "cljs_DOT_test";
  const namespace = JSON.stringify(tokens[2].text);
  return `\nif (!${library}.successful_QMARK_(await ${library}.run_tests(${namespace}))) process.exitCode = 1;`;
}

function located({ message, place, hint }) {
  const error = new SyntaxError(`${place.file}:${place.line}:${place.column}: ${message}${hint && `\nhint: ${hint}`}`);
  error.stack = error.message;
  return error;
}
