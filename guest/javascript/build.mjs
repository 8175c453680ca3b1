/**
 * Builds a component from a function's sources: `node node_modules/crunchbox/build.mjs REQUEST`, where REQUEST is one JSON
 * text. `crunchbox build` calls it in the function's folder. Words for people go to stderr, and one JSON line to stdout.
 */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { bundle } from "./build/bundle.mjs";
import { componentize } from "./build/engine.mjs";
import { findHandler } from "./build/handler.mjs";
import { MissingTool, Problem } from "./build/problem.mjs";
import { check } from "./build/types.mjs";
import { chosen } from "./build/webapi.mjs";

/**
 * @typedef {object} Request
 * @property {"javascript" | "typescript" | "clojure"} language
 * @property {string | null} handler  in Lambda's spelling, such as `src/handler.handler`
 * @property {"cherry" | "squint" | null} dialect
 * @property {"quickjs" | "starlingmonkey" | null} engine
 * @property {boolean} release
 * @property {string} output
 * @property {boolean} colour
 */

/** @param {Request} request */
async function build(request) {
  const folder = process.cwd();
  const output = path.resolve(folder, request.output);
  await mkdir(path.dirname(output), { recursive: true });
  const work = { ...request, folder, scratch: path.dirname(output), handler: await findHandler(folder, request) };
  // What esbuild and the engine say comes first: a name that is not there is no matter of types.
  const types = check(work).then((files) => () => files, (problem) => () => Promise.reject(problem));
  const { engine, because, bundled } = request.engine
    ? { engine: request.engine, because: null, bundled: await bundle(work, request.engine) }
    : await chosen(work);
  const component = await componentize(work, engine, bundled, because);
  const typed = await (await types)();
  await writeFile(output, component);
  const inputs = [...new Set([...bundled.inputs, ...typed])];
  return { component: request.output, engine, note: because && `StarlingMonkey, because ${because}`, inputs };
}

const request = JSON.parse(process.argv[2]);
try {
  process.stdout.write(`${JSON.stringify(await build(request))}\n`);
} catch (error) {
  if (error instanceof MissingTool) {
    process.stdout.write(`${JSON.stringify({ missing: error.packages, because: error.because })}\n`);
    process.exitCode = 3;
  } else {
    process.stderr.write(`${error instanceof Problem ? error.told(request.colour) : error.stack}\n`);
    process.exitCode = 1;
  }
}
