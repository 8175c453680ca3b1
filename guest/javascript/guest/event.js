/** Whether an event is being handled. Module-level code runs when the component is built, where nothing of the host is there. */

let handling = false;

/** Says that an event is there. There is one an instance, so nothing says that it is over. */
export function begin() {
  handling = true;
}

export function isHandling() {
  return handling;
}

/** Refuses `what`, such as "`process.env.HOME` is read", to module-level code: what it got would be the same in every event. */
export function needEvent(what, instead = "do it") {
  if (handling) return;
  const error = new Error(`${what} while the module loads, which happens when the component is built; ${instead} inside the handler`);
  error.name = "TooEarly";
  throw error;
}
