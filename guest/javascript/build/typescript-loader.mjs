/** A loader of Node that strips the types of TypeScript by esbuild, which the build needs anyway. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const TYPESCRIPT = /\.[mc]?tsx?$/;
const SPOKEN_AS_JAVASCRIPT = /\.([mc]?)js$/;

/** TypeScript's own way to import `stats.ts` is to say `./stats.js`. */
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!TYPESCRIPT.test(context.parentURL ?? "") || !/^\.{1,2}\//.test(specifier)) throw error;
    const source = SPOKEN_AS_JAVASCRIPT.test(specifier) ? specifier.replace(SPOKEN_AS_JAVASCRIPT, ".$1ts") : `${specifier}.ts`;
    return next(source, context);
  }
}

export async function load(url, context, next) {
  if (!TYPESCRIPT.test(new URL(url).pathname)) return next(url, context);
  const { transform } = await import("esbuild");
  const file = fileURLToPath(url);
  const { code } = await transform(await readFile(file, "utf8"), { loader: "ts", format: "esm", sourcefile: file, sourcemap: "inline" });
  return { format: "module", source: code, shortCircuit: true };
}
