/** The packages that only builds need. They lie beside this one; `crunchbox build` installs those that are asked for. */
import { readFile } from "node:fs/promises";
import { MissingTool } from "./problem.mjs";

const versions = JSON.parse(await readFile(new URL("../tools.json", import.meta.url), "utf8"));

/** What a tool imports and does not name among its own dependencies. */
const UNDECLARED = { "@bytecodealliance/componentize-js": ["@bytecodealliance/preview2-shim"] };

/**
 * Imports a tool.
 * @param {string} name
 * @param {string | null} because  why it is needed, for people
 */
export async function tool(name, because = null) {
  try {
    return await import(name);
  } catch (error) {
    const packages = [name, ...(UNDECLARED[name] ?? [])];
    const isMissing = packages.some((each) => String(error.message).includes(`'${each}'`));
    if (error.code === "ERR_MODULE_NOT_FOUND" && isMissing) {
      throw new MissingTool(packages.map((each) => `${each}@${versions[each]}`), because);
    }
    throw error;
  }
}
