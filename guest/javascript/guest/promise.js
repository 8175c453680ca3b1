/**
 * The Promise of a component on QuickJS, after ECMA-262, section 27.2, on our own queue of microtasks (see `loop.js`).
 * Async functions use it too: the build lowers them to generators and `Promise`.
 */
import { enqueue } from "./loop.js";

/** Promises that were rejected and that nobody handles, with their reasons. */
const rejections = new Map();

/** The reasons of promises that were rejected and that nobody handles. */
export function unhandled() {
  return [...rejections.values()];
}

class Promise {
  #state = "pending";
  #value = undefined;
  #reactions = [];
  #handled = false;

  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError("Promise: expected a function that takes resolve and reject");
    const { resolve, reject } = this.#resolvers();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  #resolvers() {
    let called = false;
    const once = (settle) => (value) => {
      if (called) return;
      called = true;
      settle(value);
    };
    return { resolve: once((value) => this.#resolve(value)), reject: once((reason) => this.#settle("rejected", reason)) };
  }

  #resolve(value) {
    if (value === this) return this.#settle("rejected", new TypeError("a promise can't be resolved with itself"));
    if ((typeof value !== "object" || value === null) && typeof value !== "function") return this.#settle("fulfilled", value);
    let then;
    try {
      then = value.then;
    } catch (error) {
      return this.#settle("rejected", error);
    }
    if (typeof then !== "function") return this.#settle("fulfilled", value);
    enqueue(() => {
      const { resolve, reject } = this.#resolvers();
      try {
        then.call(value, resolve, reject);
      } catch (error) {
        reject(error);
      }
    });
  }

  #settle(state, value) {
    this.#state = state;
    this.#value = value;
    if (state === "rejected" && !this.#handled) rejections.set(this, value);
    for (const reaction of this.#reactions) this.#schedule(reaction);
    this.#reactions = undefined;
  }

  #schedule({ onFulfilled, onRejected, resolve, reject }) {
    const fulfilled = this.#state === "fulfilled";
    const handler = fulfilled ? onFulfilled : onRejected;
    enqueue(() => {
      if (!handler) return (fulfilled ? resolve : reject)(this.#value);
      let result;
      try {
        result = handler(this.#value);
      } catch (error) {
        return reject(error);
      }
      resolve(result);
    });
  }

  then(onFulfilled, onRejected) {
    const { promise, resolve, reject } = capability(species(this));
    const reaction = {
      onFulfilled: typeof onFulfilled === "function" ? onFulfilled : null,
      onRejected: typeof onRejected === "function" ? onRejected : null,
      resolve,
      reject,
    };
    if (this.#state === "pending") this.#reactions.push(reaction);
    else this.#schedule(reaction);
    this.#handle();
    return promise;
  }

  #handle() {
    if (this.#state === "rejected" && !this.#handled) rejections.delete(this);
    this.#handled = true;
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(onFinally) {
    if (typeof onFinally !== "function") return this.then(onFinally, onFinally);
    const C = species(this);
    return this.then(
      (value) => C.resolve(onFinally()).then(() => value),
      (reason) =>
        C.resolve(onFinally()).then(() => {
          throw reason;
        }),
    );
  }

  static resolve(value) {
    if (typeof value === "object" && value !== null && #state in value && value.constructor === this) return value;
    const { promise, resolve } = capability(this);
    resolve(value);
    return promise;
  }

  static reject(reason) {
    const { promise, reject } = capability(this);
    reject(reason);
    return promise;
  }

  static withResolvers() {
    return capability(this);
  }

  static try(callback, ...args) {
    return new this((resolve) => resolve(callback(...args)));
  }

  static race(values) {
    const { promise, resolve, reject } = capability(this);
    try {
      for (const value of values) this.resolve(value).then(resolve, reject);
    } catch (error) {
      reject(error);
    }
    return promise;
  }

  static all(values) {
    return combine(this, values, (entry, settle, { reject }) => entry.then(settle, reject));
  }

  static allSettled(values) {
    return combine(this, values, (entry, settle) =>
      entry.then(
        (value) => settle({ status: "fulfilled", value }),
        (reason) => settle({ status: "rejected", reason }),
      ),
    );
  }

  static any(values) {
    const finish = (errors, { reject }) => reject(new AggregateError(errors, "all promises were rejected"));
    return combine(this, values, (entry, settle, { resolve }) => entry.then(resolve, settle), finish);
  }

  static get [Symbol.species]() {
    return this;
  }
}

Object.defineProperty(Promise.prototype, Symbol.toStringTag, { value: "Promise", configurable: true });

function species(promise) {
  const constructor = promise.constructor;
  return constructor === Promise ? Promise : (constructor?.[Symbol.species] ?? Promise);
}

function capability(C) {
  let resolve, reject;
  const promise = new C((a, b) => {
    resolve = a;
    reject = b;
  });
  return { promise, resolve, reject };
}

/** Waits for each of `values` by `each(promise, settle, whole)`; once each has called `settle`, `finish` gets all results. */
function combine(C, values, each, finish = (results, { resolve }) => resolve(results)) {
  const whole = capability(C);
  try {
    const results = [];
    let open = 1;
    let index = 0;
    const close = () => --open === 0 && finish(results, whole);
    for (const value of values) {
      const place = index++;
      let called = false;
      open += 1;
      const settle = (result) => {
        if (called) return;
        called = true;
        results[place] = result;
        close();
      };
      each(C.resolve(value), settle, whole);
    }
    close();
  } catch (error) {
    whole.reject(error);
  }
  return whole.promise;
}

export { Promise };
