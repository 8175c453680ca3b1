/** `TextEncoder` and `TextDecoder` on QuickJS, for UTF-8, after the Encoding Standard. */

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    const source = String(text).toWellFormed();
    const bytes = new Uint8Array(source.length * 3);
    return bytes.slice(0, fill(source, bytes).written);
  }

  encodeInto(text, bytes) {
    return fill(String(text).toWellFormed(), bytes);
  }
}

function fill(source, bytes) {
  let written = 0;
  let read = 0;
  while (read < source.length) {
    const point = source.codePointAt(read);
    const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (written + size > bytes.length) break;
    if (size === 1) bytes[written] = point;
    else {
      for (let i = size - 1, rest = point; i > 0; i--, rest >>= 6) bytes[written + i] = 0x80 | (rest & 0x3f);
      bytes[written] = [0, 0, 0xc0, 0xe0, 0xf0][size] | (point >> (6 * (size - 1)));
    }
    written += size;
    read += size === 4 ? 2 : 1;
  }
  return { read, written };
}

export class TextDecoder {
  #rest = new Uint8Array(0);
  #isAtStart = true;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^\s*(utf-?8|unicode-1-1-utf-8)\s*$/i.test(label)) throw new RangeError(`TextDecoder: expected utf-8, got ${label}`);
    this.fatal = Boolean(fatal);
    this.ignoreBOM = Boolean(ignoreBOM);
  }

  get encoding() {
    return "utf-8";
  }

  decode(input = new Uint8Array(0), { stream = false } = {}) {
    const given = ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    const bytes = this.#rest.length === 0 ? given : joined(this.#rest, given);
    const { text, read } = decoded(bytes, this.fatal, stream);
    this.#rest = bytes.slice(read);
    const isMarked = this.#isAtStart && !this.ignoreBOM && text.startsWith("\ufeff");
    this.#isAtStart = !stream || (this.#isAtStart && text === "");
    return isMarked ? text.slice(1) : text;
  }
}

function joined(a, b) {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

function decoded(bytes, fatal, stream) {
  let text = "";
  let units = [];
  let at = 0;
  while (at < bytes.length) {
    const { point, size } = character(bytes, at);
    if (point === null && at + size === bytes.length && stream && size < expected(bytes[at])) break;
    if (point === null && fatal) throw new TypeError(`TextDecoder: byte ${at} is not UTF-8`);
    at += size;
    if (point !== null && point > 0xffff) units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
    else units.push(point ?? 0xfffd);
    if (units.length > 4096) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return { text: text + String.fromCharCode.apply(null, units), read: at };
}

function expected(lead) {
  return lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 1;
}

/** The character at `at`; where the bytes are none, a null `point` and how many of them one mark replaces. */
function character(bytes, at) {
  const lead = bytes[at];
  if (lead < 0x80) return { point: lead, size: 1 };
  const size = expected(lead);
  if (size === 1) return { point: null, size: 1 };
  let point = lead & (0x7f >> size);
  for (let i = 1; i < size; i++) {
    const byte = bytes[at + i];
    const low = i > 1 ? 0x80 : lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (byte === undefined || byte < low || byte > high) return { point: null, size: i };
    point = (point << 6) | (byte & 0x3f);
  }
  return { point, size };
}
