/**
 * Reads Clojure source as far as a build needs it: where each symbol, keyword and string stands, what the namespace
 * requires, and where a handler is defined. It checks nothing; that is the compiler's work.
 */

/**
 * @typedef {object} Token
 * @property {"word" | "keyword" | "string" | "open" | "close"} kind
 * @property {string} text
 * @property {number} offset
 * @property {number} line from 1
 * @property {number} column from 1
 * @property {number} depth how many delimiters are open around it
 */

const LEXEME =
  /(?<skip>;[^\n]*|[\s,]+|\\(?:[A-Za-z0-9]+|.)|#"(?:\\.|[^"\\])*"?|[#'`~@^]+)|(?<string>"(?:\\.|[^"\\])*"?)|(?<open>[([{])|(?<close>[)\]}])|(?<word>[^\s,()[\]{}";@^`~\\]+)/gsu;

/**
 * @param {string} text
 * @returns {Token[]}
 */
export function tokens(text) {
  const found = [];
  let [line, lineStart, scanned, depth] = [1, 0, 0, 0];
  for (const { index, 0: lexeme, groups } of text.matchAll(LEXEME)) {
    for (; scanned < index; scanned++) {
      if (text[scanned] === "\n") [line, lineStart] = [line + 1, scanned + 1];
    }
    if (groups.skip !== undefined) continue;
    if (groups.close) depth = Math.max(0, depth - 1);
    found.push({ kind: kindOf(groups), text: lexeme, offset: index, line, column: index - lineStart + 1, depth });
    if (groups.open) depth++;
  }
  return found;
}

function kindOf({ string, open, close, word }) {
  if (string) return "string";
  if (open) return "open";
  if (close) return "close";
  return word.startsWith(":") ? "keyword" : "word";
}

/**
 * The namespaces that the `ns` form asks for as symbols, with their aliases. Packages of npm are strings there.
 *
 * @param {Token[]} all
 * @returns {Map<string, {alias: string | null, token: Token}>}
 */
export function requires(all) {
  const found = new Map();
  if (all[1]?.text !== "ns") return found;
  const end = all.findIndex((token, at) => at > 0 && token.kind === "close" && token.depth === 0);
  for (let at = 2; at < end; at++) {
    if (all[at].text !== "[" || all[at].depth !== 2 || all[at + 1].kind !== "word") continue;
    const as = all[at + 2].text === ":as" ? all[at + 3].text : null;
    found.set(all[at + 1].text, { alias: as, token: all[at + 1] });
  }
  return found;
}

/**
 * The symbols that each required namespace is asked for by `:refer`.
 *
 * @param {Token[]} all
 * @param {Token} required the token of the namespace
 */
function referred(all, required) {
  const start = all.indexOf(required);
  const end = all.findIndex((token, at) => at > start && token.kind === "close" && token.depth === required.depth - 1);
  const refer = all.findIndex((token, at) => at > start && at < end && token.text === ":refer");
  return refer < 0 ? [] : all.slice(refer, end).filter(({ kind }) => kind === "word");
}

/**
 * What a file takes from a namespace it requires: the name there, and the token here.
 *
 * @param {Token[]} all
 * @param {{alias: string | null, token: Token}} required
 */
export function uses(all, { alias, token: required }) {
  const aliased = all.flatMap((token) => {
    const [prefix, name] = token.kind === "word" ? token.text.split(/\/(.+)/u) : [];
    return name && (prefix === alias || prefix === required.text) ? [{ name, token }] : [];
  });
  return [...referred(all, required).map((token) => ({ name: token.text, token })), ...aliased];
}

/**
 * The handlers that `defhandler` defines: the token of `defhandler` and that of the name.
 *
 * @param {Token[]} all
 */
export function handlers(all) {
  const alias = requires(all).get("crunchbox.core")?.alias;
  const spellings = new Set(["defhandler", "crunchbox.core/defhandler", `${alias}/defhandler`]);
  return all.flatMap((token, at) => {
    if (all[at - 1]?.text !== "(" || !spellings.has(token.text)) return [];
    // Metadata such as `^:async` may stand before the name.
    const name = all.slice(at + 1).find(({ kind }) => kind !== "keyword");
    return name?.kind === "word" ? [{ macro: token, name }] : [];
  });
}

const MUNGED = {
  "-": "_", "?": "_QMARK_", "!": "_BANG_", "*": "_STAR_", "+": "_PLUS_", ">": "_GT_", "<": "_LT_", "=": "_EQ_",
  "'": "_SINGLEQUOTE_", "&": "_AMPERSAND_", "%": "_PERCENT_", "|": "_BAR_", "#": "_SHARP_", "$": "$",
};

/** A symbol as both compilers spell it in JavaScript. */
export function munge(symbol) {
  return symbol.replace(/[^\w.]/gu, (mark) => MUNGED[mark] ?? mark);
}
