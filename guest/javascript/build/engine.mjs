/** Makes a component from a bundle: the engine, with the bundle evaluated in it and its memory kept as it stood then. */
import { cp, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { trace } from "../guest/trace.js";
import { bundle, TOLD } from "./bundle.mjs";
import { MissingTool, Problem } from "./problem.mjs";
import { tool } from "./tool.mjs";

const SDK = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const WORLD = "guest";

const ENGINES = {
  async quickjs(source, witPath) {
    const { componentize } = await tool("componentize-qjs");
    // The asynchronous runtime would need WASI 0.3.
    return componentize({ jsSource: source, witPath, world: WORLD, sync: true });
  },
  async starlingmonkey(source, witPath, because) {
    const { componentize } = await tool("@bytecodealliance/componentize-js", because);
    return componentize(source, { witPath, worldName: WORLD });
  },
};

/**
 * @param {"quickjs" | "starlingmonkey"} engine
 * @param {import("./bundle.mjs").Bundle} bundled
 * @param {string | null} because  why this engine
 * @returns {Promise<Uint8Array>} the component
 */
export async function componentize(work, engine, { code, table }, because) {
  const source = `${code}\nglobalThis[Symbol.for("crunchbox.mappings")] = ${JSON.stringify(table)};\n`;
  const wit = await world(work.scratch);
  try {
    return (await ENGINES[engine](source, wit, because)).component;
  } catch (error) {
    if (error instanceof MissingTool) throw error;
    throw hostAsked(String(error?.message)) ?? (await tried(work, engine, wit)) ?? error;
  } finally {
    await rm(wit, { recursive: true });
  }
}

/** The folder with the world that a component of JavaScript has: the SDK's, with the contract among what it depends on. */
async function world(scratch) {
  const wit = path.join(scratch, "wit");
  await rm(wit, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  await cp(path.join(SDK, "world"), wit, { recursive: true });
  await cp(path.join(SDK, "wit"), path.join(wit, "deps", "crunchbox-function"), { recursive: true });
  return wit;
}

/** Module-level code called an import of the host's, which ends the build in a way that no code can catch. */
function hostAsked(text) {
  const [, name, operation] = /unknown imported function: '([^']+)' '([^']+)'/.exec(text) ?? /<unknown>!adapter (\S+)()/.exec(text) ?? [];
  if (!name) return null;
  const asked = [name, operation].filter(Boolean).join(" ");
  return new Problem(`module-level code asks the host (\`${asked}\`), which is not there when the component is built`, { hint: "do it inside the handler" });
}

/**
 * What module-level code threw. The engines tell that poorly, each in its own way, so the code is evaluated once more in a
 * module that tells it well. Null where it threw nothing.
 */
async function tried(work, engine, wit) {
  const { code, table } = await bundle({ ...work, isTrial: true }, engine);
  const text = await ENGINES[engine](code, wit).then(
    () => "",
    (error) => String(error?.message),
  );
  const start = text.indexOf(TOLD);
  if (start < 0) return null;
  const { kind, message, stack } = JSON.parse(text.slice(start + TOLD.length).split("\n")[0]);
  if (kind === "NoHandler") return new Problem(message, { hint: 'export it, or name another by `[build] handler = "src/handler.NAME"` in crunchbox.toml' });
  const frames = trace(stack, table).map(unwrapped);
  if (frames[0]?.startsWith(`${kind} (`)) frames.shift();
  if (kind === "TooEarly") return new Problem(message, { trace: frames });
  return new Problem(`${kind}: ${message}`, { trace: frames, hint: "module-level code runs when the component is built" });
}

/** A trial has each module in a function that is called like its file. */
function unwrapped(frame) {
  const [, name, place] = /^(\S+) \((.+)\)$/.exec(frame) ?? [];
  return name && path.basename(place).startsWith(`${name}:`) ? place : frame;
}
