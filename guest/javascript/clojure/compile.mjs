/**
 * Compiles one Clojure file to a JavaScript module, by cherry or squint. Knows what their errors look like; nothing of
 * bundling.
 */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { sourceMap } from "./positions.mjs";
import { handlers, munge, requires, tokens } from "./source.mjs";

/** The compiler of each dialect. */
export const DIALECTS = {
  cherry: "cherry-cljs/lib/compiler.node.js",
  squint: "squint-cljs/node-api.js",
};

/** The import under which compiled code finds the dialect's runtime. */
export const RUNTIME = "crunchbox:clojure";

/** Our own namespaces: `crunchbox.core` and `crunchbox.log`. */
export const OWN_SOURCES = fileURLToPath(new URL("src", import.meta.url));

/** Something is wrong with a Clojure file, at a place its author can go to. */
export class SourceError extends Error {
  /**
   * @param {string} message
   * @param {{file: string, line: number, column: number, text: string}} place `text` is the file's
   * @param {string} [hint] what to do
   */
  constructor(message, { file, line, column, text }, hint = "") {
    super(message);
    this.name = "SourceError";
    this.hint = hint;
    this.place = { file, line, column, text };
  }
}

/**
 * @param {object} what
 * @param {string} what.path the file, absolute
 * @param {string} what.folder the project's
 * @param {"cherry" | "squint"} what.dialect
 */
export async function compile({ path, folder, dialect }) {
  const text = await readFile(path, "utf8");
  const file = relative(folder, path);
  const found = tokens(text);
  const handler = onlyHandler(found, file, text);
  const prepared = asFunction(text, handler);
  const source = dialect === "cherry" ? withDates(prepared, found) : prepared;
  const javascript = await translate({ source, text, file, folder, dialect, found });
  const code = dialect === "cherry" ? faster(javascript) : javascript;
  const map = sourceMap({ tokens: found, code, file });
  return { code: code + registration(handler), map, file, text, tokens: found, requires: requires(found) };
}

function onlyHandler(found, file, text) {
  const all = handlers(found);
  const inner = all.find(({ macro }) => macro.depth !== 1);
  if (inner) throw new SourceError("`defhandler` stands at the top level of a namespace", { ...inner.macro, file, text });
  const [handler, second] = all;
  if (!second) return handler;
  throw new SourceError(
    `a second handler, \`${second.name.text}\`; \`${handler.name.text}\` in line ${handler.name.line} is one already`
      + " (one namespace, one `defhandler`)",
    { ...second.name, file, text },
  );
}

/** `defhandler` is `defn`, and what `registration` adds. The blanks keep the columns. */
function asFunction(text, handler) {
  if (!handler) return text;
  const { offset, text: macro } = handler.macro;
  return text.slice(0, offset) + "defn".padEnd(macro.length) + text.slice(offset + macro.length);
}

/** Cherry writes `#inst "…"` in a way that is no JavaScript. */
function withDates(source, found) {
  const dates = found.filter(({ kind, offset }) => kind === "string" && /#inst\s*$/u.test(source.slice(Math.max(0, offset - 16), offset)));
  return dates.reduceRight((text, { offset, text: date }) => {
    const start = text.lastIndexOf("#inst", offset);
    return `${text.slice(0, start)}(js/Date. ${date})${text.slice(offset + date.length)}`;
  }, source);
}

function registration(handler) {
  if (!handler) return "";
  const name = munge(handler.name.text);
  const exported = name === "handler" ? "" : `export { ${name} as handler };`;
  return `\nimport { handler as $handler } from "${RUNTIME}";${name} = $handler(${name});${exported}\n`;
}

async function translate({ source, text, file, folder, dialect, found }) {
  const { compileString } = await import(compilerOf(dialect, folder));
  try {
    const compiled = await compileString(source, {});
    return compiled.javascript ?? compiled;
  } catch (error) {
    throw new SourceError(...explain(error, { file, text, found }));
  }
}

function compilerOf(dialect, folder) {
  return pathToFileURL(createRequire(resolve(folder, "package.json")).resolve(DIALECTS[dialect])).href;
}

function explain(error, { file, text, found }) {
  const message = String(error.message);
  const unclosed = /^EOF while reading, expected (\S+) to match (\S+) at \[(\d+),(\d+)\]/u.exec(message);
  if (unclosed) {
    const [, expected, opened, line, column] = unclosed;
    return [`\`${opened}\` is never closed: expected \`${expected}\``, { file, line: +line, column: +column, text }];
  }
  const tag = /No reader function for tag (\S+)/u.exec(message)?.[1];
  const token = tag && found.find(({ text: word, offset }) => word === tag && text[offset - 1] === "#");
  const [, line, column] = /:line (\d+), :column (\d+)/u.exec(String(error.data)) ?? [null, token?.line, token?.column];
  return [message, { file, line: Number(line ?? 1), column: Number(column ?? 1), text }];
}

const CALL_OR_KEYWORD =
  /"(?:\\.|[^"\\])*"|cherry_core\.keyword\(("(?:\\.|[^"\\])*")\)|cherry_core\.(\w+)\.call\(null(?:, )?/gu;

/** Cherry makes each keyword anew whenever it is met, and calls its own functions by `call`: both cost a lot. */
function faster(code) {
  const keywords = new Map();
  const body = code.replace(CALL_OR_KEYWORD, (whole, keyword, callee) => {
    if (callee) return `cherry_core.${callee}(`;
    if (!keyword) return whole;
    if (!keywords.has(keyword)) keywords.set(keyword, `$keyword${keywords.size}`);
    return keywords.get(keyword);
  });
  const made = [...keywords].map(([keyword, name]) => `${name} = /* @__PURE__ */ cherry_core.keyword(${keyword})`);
  return made.length > 0 ? `const ${made.join(", ")};${body}` : body;
}
