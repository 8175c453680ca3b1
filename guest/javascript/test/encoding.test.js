import assert from "node:assert/strict";
import { test } from "node:test";
import { TextDecoder as Decoder, TextEncoder as Encoder } from "../guest/encoding.js";

const TEXTS = ["", "plain", "hé", "€", "😀", "a\ud800b", "\udc00", "\ufeffmarked", "x".repeat(10_000) + "😀"];

test("texts become the bytes that Node makes", () => {
  for (const text of TEXTS) assert.deepEqual(new Encoder().encode(text), new TextEncoder().encode(text));
  const [ours, nodes] = [new Uint8Array(4), new Uint8Array(4)];
  assert.deepEqual(new Encoder().encodeInto("h€😀", ours), new TextEncoder().encodeInto("h€😀", nodes));
  assert.deepEqual(ours, nodes);
});

test("bytes, however broken, become the text that Node makes", () => {
  let state = 7;
  const next = (most) => (state = (state * 16807) % 2147483647) % most;
  const parts = [0x00, 0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe2, 0x82, 0xac, 0xed, 0xef, 0xbb, 0xf0, 0x9f, 0x98, 0xf4, 0x8f, 0x90, 0xf5, 0xff];
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from({ length: next(9) }, () => parts[next(parts.length)]);
    assert.equal(new Decoder().decode(bytes), new TextDecoder().decode(bytes), String(bytes));
    const [ours, nodes] = [new Decoder(), new TextDecoder()];
    const at = next(bytes.length + 1);
    for (const piece of [bytes.subarray(0, at), bytes.subarray(at)]) {
      assert.equal(ours.decode(piece, { stream: true }), nodes.decode(piece, { stream: true }), `${bytes} at ${at}`);
    }
    assert.equal(ours.decode(), nodes.decode(), String(bytes));
  }
});

test("a strict decoder refuses, and another encoding is refused", () => {
  assert.throws(() => new Decoder("utf-8", { fatal: true }).decode(Uint8Array.of(0x41, 0xff)), TypeError);
  assert.throws(() => new Decoder("latin1"), /expected utf-8, got latin1/);
});
