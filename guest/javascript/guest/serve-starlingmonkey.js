/** The export of a component on StarlingMonkey, whose own event loop settles promises. */
import { failure } from "./failure.js";
import { handle } from "./serve.js";
import { whenThrown } from "./starlingmonkey.js";

export function serve(handler) {
  return {
    handle: (text) =>
      new Promise((resolve, reject) => {
        whenThrown((error) => reject(failure(error)));
        handle(handler, text).then(resolve, reject);
      }),
  };
}
