/** Bundles the author's sources and the guest's half of the SDK into one module, and keeps the way back to the sources. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { table } from "../guest/mappings.js";
import { Problem, Problems } from "./problem.mjs";
import { advice } from "./advice.mjs";
import { tool } from "./tool.mjs";

const SDK = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const ENTRY = "crunchbox-entry.js";

/** What the message of a trial's failure begins with. */
export const TOLD = "crunchbox-trial:";

/** The core libraries of Clojure's dialects; frames in them would hide the author's. */
const CORE = /[\\/]node_modules[\\/](cherry|squint)-cljs[\\/]/;

/** QuickJS never runs its own queue of promises here, so async functions become generators on the SDK's `Promise`. */
const LOWERED = { "async-await": false, "async-generator": false, "for-await": false };

/**
 * @typedef {{code: string, table: import("../guest/mappings.js").Table, inputs: string[]}} Bundle
 * @param {"quickjs" | "starlingmonkey"} engine
 * @param {import("esbuild").BuildOptions} [extra]
 * @returns {Promise<Bundle>}
 */
export async function bundle(work, engine, extra = {}) {
  const esbuild = await tool("esbuild");
  try {
    const { outputFiles, metafile } = await esbuild.build({ ...(await options(work, engine)), ...extra, define: { ...DEFINE, ...extra.define } });
    const text = (ending) => outputFiles.find((file) => file.path.endsWith(ending)).text;
    const code = text(".js").replace(/\n\/\/# sourceMappingURL=.*\n?$/, "\n");
    const map = JSON.parse(text(".js.map"));
    map.sources = map.sources.map((source) => named(work, source));
    return { code, table: table(map, code), inputs: inputs(metafile) };
  } catch (error) {
    if (!error.errors) throw error;
    throw new Problems(error.errors.map((message) => problem(message)));
  }
}

const DEFINE = { "process.env.NODE_ENV": '"production"' };

async function options({ folder, language, dialect, release, handler, isTrial = false }, engine) {
  return {
    stdin: { contents: (isTrial ? trial : entry)(engine, handler), resolveDir: folder, sourcefile: ENTRY },
    absWorkingDir: folder,
    outfile: path.join(folder, "bundle.js"),
    write: false,
    bundle: true,
    metafile: true,
    format: "esm",
    target: "es2024",
    supported: { "top-level-await": false, ...(engine === "quickjs" ? LOWERED : {}) },
    platform: "neutral",
    mainFields: ["browser", "module", "main"],
    conditions: ["crunchbox", "worker", "browser"],
    external: ["crunchbox:function/*", "wasi:*"],
    loader: { ".txt": "text", ".md": "text", ".sql": "text", ".html": "text", ".csv": "text" },
    plugins: language === "clojure" ? [await clojure({ dialect: dialect ?? "cherry", folder })] : [],
    // Names of classes are kinds of failures, names of functions stand in traces.
    keepNames: true,
    minifySyntax: release,
    minifyWhitespace: release,
    lineLimit: release ? 400 : undefined,
    sourcemap: "external",
    sourcesContent: false,
    logLevel: "silent",
  };
}

async function clojure(settings) {
  const plugin = await import("../clojure/plugin.mjs");
  return plugin.clojure(settings);
}

function entry(engine, { file, name }) {
  return [
    ...globals(engine),
    `import { serve } from ${guest(`serve-${engine}.js`)};`,
    `import { find } from ${guest("serve.js")};`,
    `import * as author from ${JSON.stringify(`./${file}`)};`,
    `export const handler = serve(find(author, ${JSON.stringify({ name, place: file })}));`,
  ].join("\n");
}

/** A module that evaluates the author's as `entry` does, and fails with all that is known about what that throws. */
function trial(engine, { file, name }) {
  return [
    ...globals(engine),
    `import { kindOf, messageOf, stackOf } from ${guest("failure.js")};`,
    `import { find } from ${guest("serve.js")};`,
    `try { find(require(${JSON.stringify(`./${file}`)}), ${JSON.stringify({ name, place: file })}); }`,
    `catch (error) { throw new Error("${TOLD}" + JSON.stringify({ kind: kindOf(error), message: messageOf(error), stack: stackOf(error) })); }`,
    "export const handler = { handle() {} };",
  ].join("\n");
}

function globals(engine) {
  return [`${engine}.js`, "globals.js"].map((module) => `import ${guest(module)};`);
}

function guest(module) {
  return JSON.stringify(path.join(SDK, "guest", module));
}

/** A source as the author knows it; none for what is not the author's. */
function named({ folder, scratch }, source) {
  const file = path.resolve(folder, source);
  const within = (place) => file.startsWith(place + path.sep);
  return source === ENTRY || within(SDK) || within(scratch) || CORE.test(file) ? null : path.relative(folder, file).replaceAll(path.sep, "/");
}

function inputs(metafile) {
  return Object.keys(metafile.inputs).filter((file) => file !== ENTRY && !/(^|[/:])(node_modules|\.crunchbox)\//.test(file) && !path.isAbsolute(file) && !file.startsWith(".."));
}

function problem({ text, location, notes }) {
  const { message, hint } = advice(text, location?.file) ?? { message: text, hint: notes.find(({ text }) => !text.startsWith("The plugin \""))?.text ?? "" };
  if (!location || location.file === ENTRY) return new Problem(message, { hint });
  const { file, line, column, lineText, length } = location;
  return new Problem(message, { at: { file, line, column: column + 1, text: lineText, length: Math.min(length, lineText.length - column) }, hint });
}
