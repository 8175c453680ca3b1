/**
 * Where a namespace lives: below `src` or `test` of the project, or among our own.
 */

import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import { OWN_SOURCES, SourceError } from "./compile.mjs";

const candidates = (namespace, folder) => {
  const stem = namespace.replaceAll("-", "_").replaceAll(".", "/");
  return [resolve(folder, "src"), resolve(folder, "test"), OWN_SOURCES].flatMap((root) =>
    ["cljs", "cljc"].map((ending) => resolve(root, `${stem}.${ending}`)),
  );
};

/** The file of a namespace, or undefined. */
export function fileOfNamespace(namespace, folder) {
  return candidates(namespace, folder).find((path) => existsSync(path));
}

/** Names what was looked for and where. */
export function missingNamespace(namespace, asker, folder) {
  const looked = candidates(namespace, folder).slice(0, 4).map((path) => relative(folder, path));
  const { token } = asker.requires.get(namespace);
  return new SourceError(
    `there is no namespace \`${namespace}\`: looked for ${looked.join(", ")}`,
    { ...token, file: asker.file, text: asker.text },
    `a package of npm is required as a string: ["${namespace}" :as p]`,
  );
}
