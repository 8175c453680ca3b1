/** Finds the file and the name of the handler. */
import { access } from "node:fs/promises";
import path from "node:path";
import { Problem } from "./problem.mjs";

const DEFAULTS = {
  javascript: { places: ["src/handler", "index"], endings: [".mjs", ".js", ".ts"] },
  typescript: { places: ["src/handler", "index"], endings: [".ts", ".mjs", ".js"] },
  clojure: { places: ["src/handler"], endings: [".cljs"] },
};
const ENDINGS = [".mjs", ".js", ".cjs", ".ts", ".mts", ".cts", ".cljs", ".cljc"];

/**
 * @param {string} folder
 * @param {import("../build.mjs").Request} request
 * @returns {Promise<{file: string, name: string}>}
 */
export async function findHandler(folder, { language, handler }) {
  const [, place, name] = handler === null ? [] : (/^(.+)\.([^./]+)$/.exec(handler) ?? refuse(handler));
  const { places, endings } = handler === null ? DEFAULTS[language] : { places: [place], endings: ENDINGS };
  const candidates = places.flatMap((start) => endings.map((ending) => start + ending));
  for (const file of candidates) if (await exists(path.join(folder, file))) return { file, name: name ?? "handler" };
  throw new Problem(`there is no handler: looked for ${candidates.map((file) => `\`${file}\``).join(", ")}`, {
    hint: handler === null ? 'say where it is: `[build] handler = "src/handler.handler"` in crunchbox.toml' : "check `[build] handler` in crunchbox.toml",
  });
}

function refuse(handler) {
  throw new Problem(`\`[build] handler\`: expected a file and an export, such as \`src/handler.handler\`, got \`${handler}\``);
}

function exists(file) {
  return access(file).then(
    () => true,
    () => false,
  );
}
