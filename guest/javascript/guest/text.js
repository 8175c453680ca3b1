/** Texts as the host takes them: Unicode without lone surrogates, which would end the event as a trap. */

/** `value` as a text, whatever it is: an object whose `toString` throws does not stop this. */
export function toText(value) {
  try {
    return String(value).toWellFormed();
  } catch {
    return `[unreadable ${typeof value}]`;
  }
}

/** The first `most` characters of a text. */
export function cut(text, most) {
  return text.length <= most ? text : text.slice(0, most).toWellFormed();
}

/** `value` as JSON text, or `null` where JSON can't say it. */
export function toJson(value) {
  try {
    return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner)) ?? null;
  } catch {
    return null;
  }
}
