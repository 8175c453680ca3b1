/** What the host calls: finds the author's handler, gives it an event, and makes its answer a response or a failure. */
import { context } from "./context.js";
import { begin } from "./event.js";
import { failure } from "./failure.js";
import { registered } from "./registry.js";
import { response } from "./response.js";

/**
 * The author's handler.
 * @param {Record<string, unknown>} author  the module
 * @param {{name: string, place: string}} wanted
 */
export function find(author, { name, place }) {
  const handler = registered() ?? author[name] ?? author.default?.[name];
  if (typeof handler === "function") return handler;
  const names = Object.keys({ ...author.default, ...author }).filter((key) => key !== "default");
  const error = new Error(
    handler === undefined
      ? `${place} exports no \`${name}\`; it exports ${names.length > 0 ? names.map((key) => `\`${key}\``).join(", ") : "nothing"}`
      : `\`${name}\` of ${place} is no function but ${Array.isArray(handler) ? "an array" : typeof handler}`,
  );
  error.name = "NoHandler";
  throw error;
}

/**
 * Handles one event; the promise is rejected with a `failure` of the contract only.
 * @returns {Promise<string>}
 */
export function handle(handler, text) {
  begin();
  return new Promise((resolve) => resolve(called(handler, JSON.parse(text), context(text))))
    .then(response)
    .catch((thrown) => {
      throw failure(thrown);
    });
}

/** Calls a handler in whichever style it is written: it returns a value or a promise, or calls back. */
function called(handler, event, context) {
  return new Promise((resolve, reject) => {
    const callback = (error, result) => (error === null || error === undefined ? resolve(result) : reject(error));
    Object.assign(context, { done: callback, succeed: resolve, fail: reject });
    const result = handler(event, context, callback);
    // A handler that takes a callback has not answered by returning nothing.
    if (result !== undefined || handler.length < 3) resolve(result);
  });
}
