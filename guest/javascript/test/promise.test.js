import assert from "node:assert/strict";
import { test } from "node:test";
import { drain } from "../guest/loop.js";
import { Promise as Ours, unhandled } from "../guest/promise.js";

/** What a promise came to once nothing is left to run. */
function settled(promise) {
  let outcome = { state: "pending" };
  promise.then(
    (value) => (outcome = { state: "fulfilled", value }),
    (value) => (outcome = { state: "rejected", value }),
  );
  drain();
  return outcome;
}

const fulfilled = (value) => ({ state: "fulfilled", value });
const rejected = (value) => ({ state: "rejected", value });
const never = () => new Ours(() => {});

test("reactions run later, in the order in which they were added", () => {
  const seen = [];
  const promise = Ours.resolve(1);
  promise.then(() => seen.push("first")).then(() => seen.push("third"));
  promise.then(() => seen.push("second"));
  seen.push("now");
  drain();
  assert.deepEqual(seen, ["now", "first", "second", "third"]);
});

test("ticks are counted as the engines count them", async () => {
  const order = async (P, wait) => {
    const seen = [];
    P.resolve(P.resolve()).then(() => seen.push("a")).then(() => seen.push("b")).then(() => seen.push("c")).then(() => seen.push("d"));
    new P((resolve) => resolve(P.resolve())).then(() => seen.push("adopted"));
    P.reject(1).catch(() => {}).then(() => seen.push("caught"));
    P.resolve().finally(() => {}).then(() => seen.push("finally"));
    P.all([1]).then(() => seen.push("all"));
    await wait();
    return seen;
  };
  assert.deepEqual(await order(Ours, drain), await order(Promise, () => new Promise((resolve) => setTimeout(resolve, 5))));
});

test("a promise takes its state once, from its first answer", () => {
  assert.deepEqual(settled(new Ours((resolve, reject) => (resolve(1), reject(2), resolve(3)))), fulfilled(1));
  assert.deepEqual(settled(new Ours((resolve) => { resolve(1); throw 2; })), fulfilled(1));
  assert.deepEqual(settled(new Ours(() => { throw 2; })), rejected(2));
  assert.equal(settled(never()).state, "pending");
});

test("a thenable is asked once, and its mistakes are contained", () => {
  const thenable = (then) => Ours.resolve({ then });
  assert.deepEqual(settled(thenable((resolve, reject) => (resolve("a"), reject("b")))), fulfilled("a"));
  assert.deepEqual(settled(thenable((resolve) => { resolve("a"); throw "b"; })), fulfilled("a"));
  assert.deepEqual(settled(thenable(() => { throw "b"; })), rejected("b"));
  assert.deepEqual(settled(Ours.resolve({ get then() { throw "c"; } })), rejected("c"));
  assert.deepEqual(settled(Ours.resolve({ then: 1 })), fulfilled({ then: 1 }));
  const self = Ours.withResolvers();
  self.resolve(self.promise);
  assert.equal(settled(self.promise).value.constructor, TypeError);
});

test("handlers that are no functions let the state through", () => {
  assert.deepEqual(settled(Ours.resolve(1).then(null, undefined)), fulfilled(1));
  assert.deepEqual(settled(Ours.reject(1).then(5)), rejected(1));
});

test("finally changes nothing unless it throws", () => {
  assert.deepEqual(settled(Ours.resolve(1).finally(() => 2)), fulfilled(1));
  assert.deepEqual(settled(Ours.reject(1).finally(() => 2)), rejected(1));
  assert.deepEqual(settled(Ours.resolve(1).finally(() => { throw 3; })), rejected(3));
});

test("combinators take any iterable, keep its order, and answer for none", () => {
  assert.deepEqual(settled(Ours.all(new Set([1, Ours.resolve(2)]))), fulfilled([1, 2]));
  assert.deepEqual(settled(Ours.all([])), fulfilled([]));
  assert.deepEqual(settled(Ours.all([1, Ours.reject(2), never()])), rejected(2));
  assert.deepEqual(settled(Ours.race([never(), Ours.resolve(1), 2])), fulfilled(1));
  assert.equal(settled(Ours.race([])).state, "pending");
  assert.deepEqual(settled(Ours.allSettled([1, Ours.reject(2)])), fulfilled([{ status: "fulfilled", value: 1 }, { status: "rejected", reason: 2 }]));
  assert.deepEqual(settled(Ours.any([Ours.reject(1), Ours.resolve(2)])), fulfilled(2));
  assert.deepEqual(settled(Ours.any([Ours.reject(1)])).value.errors, [1]);
  assert.equal(settled(Ours.all(5)).value.constructor, TypeError);
});

test("a subclass makes its own kind", () => {
  class Sub extends Ours {}
  assert.ok(Sub.resolve(1).then(() => {}) instanceof Sub);
  assert.ok(Sub.all([]) instanceof Sub);
  assert.equal(Ours.resolve(Ours.resolve(1)) instanceof Sub, false);
});

test("a rejection is unhandled until somebody asks", () => {
  const before = unhandled().length;
  const promise = Ours.reject("lost");
  drain();
  assert.deepEqual(unhandled().slice(before), ["lost"]);
  promise.catch(() => {});
  drain();
  assert.equal(unhandled().length, before);
});
