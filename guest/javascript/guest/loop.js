/**
 * The event loop of a component on QuickJS: a queue of microtasks and a list of timers, run by the SDK while a handler's
 * promise is open. The engine's own queue is of no use, because nothing in a WASI 0.2 component ever drains it.
 */
import * as clock from "wasi:clocks/monotonic-clock@0.2.12";
import { needEvent } from "./event.js";

const NANOSECONDS = 1e6;

/** @type {(() => void)[]} */
const tasks = [];
let head = 0;

/** @type {{id: number, due: number, every: number | null, run: () => void}[]} sorted by `due` */
const timers = [];
let lastId = 0;

/** Adds a microtask. */
export function enqueue(task) {
  tasks.push(task);
}

/** Runs microtasks until none is left. An error of one ends the event, as it ends a process of Node. */
export function drain() {
  while (head < tasks.length) {
    const task = tasks[head];
    tasks[head++] = undefined;
    if (head > 1024) {
      tasks.splice(0, head);
      head = 0;
    }
    task();
  }
  tasks.length = 0;
  head = 0;
}

/** Waits for the next timer and runs it; false when there is none. */
export function turn() {
  const timer = timers.shift();
  if (!timer) return false;
  const wait = timer.due - now();
  if (wait > 0) sleep(wait);
  if (timer.every !== null) insert({ ...timer, due: now() + timer.every });
  timer.run();
  return true;
}

export function queueMicrotask(callback) {
  enqueue(checked(callback, "queueMicrotask"));
}

export function setTimeout(callback, delay, ...args) {
  return add("setTimeout", callback, { delay, args, repeats: false });
}

export function setInterval(callback, delay, ...args) {
  return add("setInterval", callback, { delay, args, repeats: true });
}

export function setImmediate(callback, ...args) {
  return add("setImmediate", callback, { delay: 0, args, repeats: false });
}

export function clearTimeout(timer) {
  const place = timers.findIndex(({ id }) => id === Number(timer));
  if (place >= 0) timers.splice(place, 1);
}

/** Milliseconds on a clock that never goes back. */
export function now() {
  return clock.now() / NANOSECONDS;
}

function checked(callback, name) {
  if (typeof callback === "function") return callback;
  throw new TypeError(`${name}: expected a function, got ${callback === null ? "null" : typeof callback}`);
}

function add(name, callback, { delay, args, repeats }) {
  checked(callback, name);
  needEvent(`\`${name}\` is called`);
  const milliseconds = Math.min(Math.max(Number(delay) || 0, 1), 2 ** 31 - 1);
  const id = ++lastId;
  insert({ id, due: now() + milliseconds, every: repeats ? milliseconds : null, run: () => callback(...args) });
  return new Timer(id);
}

/** Timers of the same time run in the order in which they were set. */
function insert(timer) {
  let place = timers.length;
  while (place > 0 && timers[place - 1].due > timer.due) place -= 1;
  timers.splice(place, 0, timer);
}

function sleep(milliseconds) {
  const pollable = clock.subscribeDuration(Math.ceil(milliseconds * NANOSECONDS));
  pollable.block();
  pollable[Symbol.dispose]();
}

/** What Node gives for a timer. A waiting timer never keeps an event open once its response is there, so `unref` does nothing. */
class Timer {
  constructor(id) {
    this.id = id;
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
  hasRef() {
    return true;
  }
  [Symbol.toPrimitive]() {
    return this.id;
  }
}
