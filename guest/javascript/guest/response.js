/** The response as JSON text. What JSON can't say is a failure that names the place in the response. */

/**
 * @param {unknown} response  what the handler returned; `undefined` is `null`
 * @returns {string}
 */
export function response(value) {
  if (value === undefined) return "null";
  if (typeof value === "function" || typeof value === "symbol") throw notJson("the response", value);
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw offender(value, "response", []) ?? error;
  }
  // A `toJSON` may answer with nothing.
  return text ?? "null";
}

/** Looks for what made `JSON.stringify` throw: the first BigInt or circle. */
function offender(value, path, above) {
  if (typeof value === "bigint") return notJson(`\`${path}\``, value);
  if (typeof value !== "object" || value === null || typeof value.toJSON === "function") return null;
  if (above.includes(value)) return failed(`\`${path}\` is a circle: it holds an object that it is part of`);
  for (const [key, inner] of Object.entries(value)) {
    const step = Array.isArray(value) ? `[${key}]` : `.${key}`;
    const found = offender(inner, path + step, [...above, value]);
    if (found) return found;
  }
  return null;
}

function notJson(place, value) {
  const kinds = { bigint: "a BigInt", function: "a function", symbol: "a symbol" };
  return failed(`${place} is ${kinds[typeof value]}, which JSON can't say; return a number, a string, or an object of such`);
}

function failed(message) {
  const error = new TypeError(message);
  error.name = "ResponseNotJson";
  return error;
}
