/** StarlingMonkey ends the event as a trap when a timer or a microtask throws; here such an error becomes the event's failure. */

let thrown = () => {};

/** Says who is told of such errors. */
export function whenThrown(report) {
  thrown = report;
}

for (const name of ["setTimeout", "setInterval", "queueMicrotask"]) {
  const plain = globalThis[name];
  const value = (callback, ...rest) => plain(typeof callback === "function" ? guarded(callback) : callback, ...rest);
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

function guarded(callback) {
  return (...args) => {
    try {
      callback(...args);
    } catch (error) {
      thrown(error);
    }
  };
}
