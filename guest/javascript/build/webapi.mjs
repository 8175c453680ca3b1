/**
 * Chooses the engine: QuickJS, unless the code uses a name of the Web that only StarlingMonkey has. esbuild knows which
 * names are free, so it puts a name of ours in the place of each; where one is left in the bundle, it is used.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { WEB } from "../guest/web.js";
import { original } from "../guest/mappings.js";
import { bundle } from "./bundle.mjs";

const MARK = "__crunchbox_web_";
const SUBTLE = "crypto.subtle";

/** Properties that are told apart as names are. */
const DEFINE = { [SUBTLE]: "crunchboxSubtle", ...Object.fromEntries(WEB.map((name) => [`globalThis.${name}`, name])) };

/** The engine, the reason if it is not QuickJS, and the bundle for it. */
export async function chosen(work) {
  const marks = path.join(work.scratch, "web.js");
  await writeFile(marks, markers());
  const bundled = await bundle(work, "quickjs", { inject: [marks], define: DEFINE });
  const because = firstUse(bundled);
  return because
    ? { engine: "starlingmonkey", because, bundled: await bundle(work, "starlingmonkey") }
    : { engine: "quickjs", because: null, bundled };
}

function markers() {
  const names = [...WEB, "crunchboxSubtle"];
  return `${names.map((name) => `var ${MARK}${name};`).join("\n")}\nexport { ${names.map((name) => `${MARK}${name} as ${name}`).join(", ")} };\n`;
}

/** The first use of a name, the author's own before those of packages. Asking for its `typeof` is no use. */
function firstUse({ code, table }) {
  const uses = [];
  code.split("\n").forEach((text, row) => {
    for (const { 1: asks, 2: name, index, 0: whole } of text.matchAll(/(typeof\s*\(?)?__crunchbox_web_(\w+?)\d*\b/g)) {
      const place = original(table, row + 1, index + whole.indexOf(MARK) + 1);
      if (!asks && place) uses.push({ ...place, name: name === "crunchboxSubtle" ? SUBTLE : name });
    }
  });
  const use = uses.find(({ source }) => !source.includes("node_modules/")) ?? uses[0];
  return use ? `${use.source}:${use.line} uses ${use.name}` : null;
}
