/** The export of a component on QuickJS: a synchronous call that runs the event loop until the handler's promise is settled. */
import { emit } from "./logger.js";
import { failure, messageOf } from "./failure.js";
import { drain, turn } from "./loop.js";
import { unhandled } from "./promise.js";
import { handle } from "./serve.js";

export function serve(handler) {
  return { handle: (text) => settled(() => handle(handler, text)) };
}

function settled(start) {
  let outcome = null;
  try {
    start().then(
      (text) => (outcome = { text }),
      (failed) => (outcome = { failed }),
    );
    do drain();
    while (!outcome && turn());
    for (const reason of unhandled()) emit("error", () => `a promise was rejected and nobody handled it: ${messageOf(reason)}`);
  } catch (error) {
    // A timer or a microtask threw, which ends a process of Node too.
    outcome = { failed: failure(error) };
  }
  if (outcome?.text !== undefined) return outcome.text;
  throw outcome?.failed ?? failure(neverSettled());
}

function neverSettled() {
  const error = new Error("the handler's promise can never settle: nothing is left to run, and no timer is set; is a `resolve` never called?");
  error.name = "NeverSettled";
  error.stack = "";
  return error;
}
