/** Objects of S3 and files of folders, as far as the function's grants go: `context.objects`. */
import * as host from "crunchbox:function/objects@0.1.0";
import { hostError } from "./hosterror.js";
import { toText } from "./text.js";

const PIECE = 1024 * 1024;

/** @type {import("../index.js").Objects} */
export const objects = {
  async read(at) {
    return bytes(toText(at));
  },
  async readText(at) {
    const read = bytes(toText(at));
    return read && new TextDecoder().decode(read);
  },
  async write(at, content) {
    const rest = typeof content === "string" ? new TextEncoder().encode(content) : content;
    if (!(rest instanceof Uint8Array)) throw new TypeError("objects.write: expected a string or a Uint8Array");
    const writer = asked(() => host.write(toText(at)));
    for (let from = 0; from < rest.length; from += PIECE) asked(() => writer.write(rest.subarray(from, from + PIECE)));
    asked(() => writer.finish());
  },
  async *list(prefix) {
    const listing = asked(() => host.list(toText(prefix)));
    for (let entries; (entries = asked(() => listing.next())).length > 0; ) {
      for (const { at, size, modifiedMs } of entries) yield { at, size: Number(size), modified: new Date(Number(modifiedMs)) };
    }
  },
};

function bytes(at) {
  const reader = asked(() => host.read(at));
  if (!reader) return null;
  const pieces = [];
  for (let piece; (piece = asked(() => reader.read(PIECE))).length > 0; ) pieces.push(piece);
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole;
}

function asked(call) {
  try {
    return call();
  } catch (error) {
    throw hostError(error);
  }
}
