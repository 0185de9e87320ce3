// A JPEG at a half, a quarter or an eighth of its size, to the bit as libjpeg-turbo gives it to
// `fieldmark.data`: browsers decode in full only, and means of their pixels are not the same. What
// is not read here (arithmetic codes, 12 bits, odd sampling, damage) throws: it is left to them.

import { Bits, order, readerOf, tableOf } from "./huffman.js";
import { Plane, toRgb } from "./planes.js";

const BLOCK = 8;
const MOST_PIXELS = 178_956_970;

/** Width and height of a JPEG in full. */
export function sizeOf(bytes) {
  for (const { marker, payload } of segments(bytes)) {
    if (isFrame(marker)) return frameOf(payload, marker);
  }
  throw new Error("there is no frame");
}

/**
 * Decode a JPEG at a part of its size, rounded up.
 * @param {Uint8Array} bytes of the file
 * @param {number} part 2, 4 or 8
 * @returns {{pixels: Uint8Array, width: number, height: number}} RGB, row by row, as it lies there
 */
export function decodeReduced(bytes, part) {
  const found = { quantisers: [], codes: [[], []], interval: 0, isJfif: false, adobe: null };
  let frame = null;
  for (const segment of segments(bytes)) {
    const { marker, payload } = segment;
    if (marker === 0xdb) readQuantisers(payload, found.quantisers);
    else if (marker === 0xc4) readCodes(payload, found.codes);
    else if (marker === 0xdd) found.interval = (payload[0] << 8) | payload[1];
    else if (marker === 0xe0) found.isJfif ||= starts(payload, "JFIF\0");
    else if (marker === 0xee && starts(payload, "Adobe")) found.adobe = payload[11];
    else if (isFrame(marker)) {
      if (frame) throw new Error("more than one frame");
      frame = scaled(frameOf(payload, marker), part);
    } else if (marker === 0xda) segment.end = readScan(bytes, segment, { frame, ...found });
  }
  return pixelsOf(frame, found);
}

// DHT, DAC and what is reserved have numbers among those of frames; only the first three are read.
function isFrame(marker) {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

// One segment after the other; after a scan, its reader sets where it `end`s.
function* segments(bytes) {
  let at = 2;
  while (at + 2 <= bytes.length) {
    if (bytes[at] !== 0xff) throw new Error("no marker where one should be");
    const marker = bytes[at + 1];
    if (marker === 0xd9) return;
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else {
      const end = at + 2 + ((bytes[at + 2] << 8) | bytes[at + 3]);
      const segment = { marker, payload: bytes.subarray(at + 4, end), end };
      yield segment;
      at = segment.end;
    }
  }
  throw new Error("there is no end");
}

function starts(payload, text) {
  return [...text].every((letter, index) => payload[index] === letter.charCodeAt(0));
}

function readQuantisers(payload, into) {
  for (let at = 0; at < payload.length; ) {
    const [isWide, number] = [payload[at] >> 4, payload[at++] & 15];
    into[number] = new Int32Array(64);
    for (let index = 0; index < 64; index++) {
      into[number][order[index]] = isWide ? (payload[at++] << 8) | payload[at++] : payload[at++];
    }
  }
}

function readCodes(payload, into) {
  for (let at = 0; at < payload.length; ) {
    const [kind, number] = [payload[at] >> 4, payload[at++] & 15];
    const numCodes = payload.subarray(at, (at += 16));
    const total = numCodes.reduce((sum, one) => sum + one, 0);
    into[kind][number] = tableOf(numCodes, payload.subarray(at, (at += total)));
  }
}

function frameOf(payload, marker) {
  const [bits, height] = [payload[0], (payload[1] << 8) | payload[2]];
  const width = (payload[3] << 8) | payload[4];
  const components = Array.from({ length: payload[5] }, (_, index) => {
    const [id, sampling, quantiser] = payload.subarray(6 + 3 * index, 9 + 3 * index);
    return { id, across: sampling >> 4, down: sampling & 15, quantiser };
  });
  const isRead = bits === 8 && marker <= 0xc2 && width * height > 0;
  if (!isRead || width * height > MOST_PIXELS) throw new Error("a frame that is not read");
  return { width, height, isProgressive: marker === 0xc2, components };
}

function scaled(frame, part) {
  const { components, width, height, isProgressive } = frame;
  const across = Math.max(...components.map((one) => one.across));
  const down = Math.max(...components.map((one) => one.down));
  const numAcross = Math.ceil(width / across / BLOCK);
  const numDown = Math.ceil(height / down / BLOCK);
  for (const one of components) {
    const stretch = stretchOf(one, { across, down, part });
    const stride = numAcross * one.across;
    const numBlocks = stride * numDown * one.down;
    one.plane = new Plane({
      stretch,
      stride,
      numBlocks,
      width: Math.ceil((width * one.across * stretch.side) / (across * BLOCK)),
      height: Math.ceil((height * one.down * stretch.side) / (down * BLOCK)),
    });
    one.stride = stride;
    // In a scan of its own, a component has no blocks that only fill up what lies in one place.
    one.numAcross = Math.ceil((width * one.across) / (across * BLOCK));
    one.numDown = Math.ceil((height * one.down) / (down * BLOCK));
    // Without progress a block is done with before the next is read.
    one.coefficients = new Int16Array(64 * (isProgressive ? numBlocks : 1));
    // Of each coefficient, the bits that are yet to come; at first, all.
    one.numUnknownBits = new Uint8Array(64).fill(isProgressive ? 16 : 0);
  }
  return { ...frame, part, numAcross, numDown };
}

// The largest scale of a component at which nothing of it is thrown away later (jdmaster.c), and
// how much it is to be stretched then.
function stretchOf(one, { across, down, part }) {
  const [toAcross, toDown] = [(across * BLOCK) / part, (down * BLOCK) / part];
  let side = BLOCK / part;
  while (
    side < BLOCK && toAcross % (2 * side * one.across) === 0 && toDown % (2 * side * one.down) === 0
  ) {
    side *= 2;
  }
  return { side, across: toAcross / (side * one.across), down: toDown / (side * one.down) };
}

function readScan(bytes, { payload, end }, { frame, codes, quantisers, interval }) {
  const parts = partsOf(payload, { frame, codes, quantisers });
  const [from, to, shifts] = payload.subarray(1 + 2 * payload[0]);
  const { isProgressive } = frame;
  const scan = { isProgressive, from, to, high: shifts >> 4, low: shifts & 15, numEmpty: 0 };
  const bits = new Bits(bytes, end);
  const read = readerOf(scan);
  const { numAcross, numDown, unit } = unitsOf(frame, parts);
  for (let index = 0; index < numAcross * numDown; index++) {
    if (interval && index && index % interval === 0) {
      bits.restart(index / interval - 1);
      scan.numEmpty = 0;
      for (const one of parts) one.last = 0;
    }
    const y = Math.floor(index / numAcross);
    const x = index - y * numAcross;
    for (const { one, across, down, right, below } of unit) {
      readBlock(one, x * across + right, y * down + below, { bits, read, scan });
    }
  }
  bits.end();
  for (const one of parts) one.numUnknownBits.fill(scan.low, from, to + 1);
  return bits.at;
}

function partsOf(payload, { frame, codes, quantisers }) {
  return Array.from({ length: payload[0] }, (_, index) => {
    const [id, tables] = payload.subarray(1 + 2 * index, 3 + 2 * index);
    const one = frame.components.find((component) => component.id === id);
    // What quantised is settled by the first scan of a component; codes may change with each.
    one.plane.steps ??= quantisers[one.quantiser];
    return Object.assign(one, { dc: codes[0][tables >> 4], ac: codes[1][tables & 15], last: 0 });
  });
}

// What is read again and again: a block, where a scan has one component, else all blocks that lie
// in one place.
function unitsOf({ numAcross, numDown }, parts) {
  if (parts.length === 1) {
    const [one] = parts;
    const unit = [{ one, across: 1, down: 1, right: 0, below: 0 }];
    return { numAcross: one.numAcross, numDown: one.numDown, unit };
  }
  const unit = parts.flatMap((one) => {
    const { across, down } = one;
    return Array.from({ length: across * down }, (_, index) => {
      return { one, across, down, right: index % across, below: Math.floor(index / across) };
    });
  });
  return { numAcross, numDown, unit };
}

function readBlock(one, x, y, { bits, read, scan }) {
  if (scan.isProgressive) {
    read(bits, blockOf(one, y * one.stride + x), one, scan);
  } else {
    one.coefficients.fill(0);
    read(bits, one.coefficients, one, scan);
    one.plane.write(one.coefficients, x, y);
  }
}

function blockOf(one, index) {
  return one.coefficients.subarray(64 * index, 64 * (index + 1));
}

function pixelsOf({ components, width, height, isProgressive, part }, { isJfif, adobe }) {
  for (const one of components) {
    // libjpeg makes up what is missing.
    const isWhole = one.plane.steps && one.numUnknownBits.every((count) => count === 0);
    if (!isWhole) throw new Error("a scan is missing");
    if (!isProgressive) continue;
    for (let index = 0; index < one.coefficients.length / 64; index++) {
      one.plane.write(blockOf(one, index), index % one.stride, Math.floor(index / one.stride));
    }
  }
  const planes = components.map((one) => one.plane.stretched({ isSmooth: part < BLOCK }));
  const size = { width: Math.ceil(width / part), height: Math.ceil(height / part) };
  const space = spaceOf(components, { isJfif, adobe });
  return { pixels: toRgb(planes, { space, ...size }), ...size };
}

// As libjpeg guesses it (jdapimin.c).
function spaceOf(components, { isJfif, adobe }) {
  if (components.length === 1) return "grey";
  if (components.length === 4) return adobe === 2 ? "ycck" : "cmyk";
  if (components.length !== 3) throw new Error("a number of components that is not read");
  const letters = String.fromCharCode(...components.map((one) => one.id));
  const isRgb = !isJfif && (adobe === null ? letters === "RGB" : adobe === 0);
  return isRgb ? "rgb" : "ycc";
}
