/** The handler of languages that don't export one by name: Clojure's `defhandler` registers it. */

let handler = null;

/** Makes `next` the function's handler, whatever the module exports. */
export function register(next) {
  handler = next;
}

export function registered() {
  return handler;
}
