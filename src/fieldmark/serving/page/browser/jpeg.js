// A JPEG at a half, a quarter or an eighth of its size, to the bit as libjpeg-turbo gives it to
// `fieldmark.data`: browsers decode in full only, and means of their pixels are not the same. What
// is not read here (arithmetic codes, 12 bits, odd sampling, damage) throws: it is left to them.

import { Bits, order, readerOf, tableOf } from "./huffman.js";
import { Plane, toRgb } from "./planes.js";

const BLOCK = 8;
const MOST_PIXELS = 178_956_970;
// Of a progressive file all coefficients are kept, as numbers of 16 bits: 24 million pixels with
// colours in full.
const MOST_COEFFICIENTS = 72_000_000;
// A progressive file has some ten; each may be read for the sake of a few bytes.
const MOST_SCANS = 100;
const MOST_BLOCKS_IN_A_PLACE = 10;
const MOST_SYMBOL_OF_FIRST = 15;
const LOWEST_BIT = 13;

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
  let numScans = 0;
  for (const segment of segments(bytes)) {
    const { marker, payload } = segment;
    if (marker === 0xda) require((numScans += 1) <= MOST_SCANS, "scans without end");
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

function require(isSo, problem) {
  if (!isSo) throw new Error(problem);
}

function starts(payload, text) {
  return [...text].every((letter, index) => payload[index] === letter.charCodeAt(0));
}

function readQuantisers(payload, into) {
  for (let at = 0; at < payload.length; ) {
    const [isWide, number] = [payload[at] >> 4, payload[at++] & 15];
    require(at + (isWide ? 128 : 64) <= payload.length, "a table that breaks off");
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
    const symbols = payload.subarray(at, (at += total));
    const isWhole = kind <= 1 && at <= payload.length;
    const isUsual = kind === 1 || symbols.every((symbol) => symbol <= MOST_SYMBOL_OF_FIRST);
    require(isWhole && isUsual, "codes that are not read");
    into[kind][number] = tableOf(numCodes, symbols);
  }
}

function frameOf(payload, marker) {
  const [bits, height] = [payload[0], (payload[1] << 8) | payload[2]];
  const width = (payload[3] << 8) | payload[4];
  const components = Array.from({ length: payload[5] }, (_, index) => {
    const [id, sampling, quantiser] = payload.subarray(6 + 3 * index, 9 + 3 * index);
    return { id, across: sampling >> 4, down: sampling & 15, quantiser };
  });
  const isRead = bits === 8 && marker <= 0xc2 && payload.length === 6 + 3 * components.length;
  const isSized = width * height > 0 && width * height <= MOST_PIXELS;
  require(isRead && isSized && areRead(components), "a frame that is not read");
  return { width, height, isProgressive: marker === 0xc2, components };
}

function areRead(components) {
  const isSampled = ({ across, down }) => Math.min(across, down) >= 1 && Math.max(across, down) <= 4;
  const numIds = new Set(components.map((one) => one.id)).size;
  const isCount = [1, 3, 4].includes(components.length) && numIds === components.length;
  return isCount && components.every(isSampled);
}

function scaled(frame, part) {
  const { components, width, height, isProgressive } = frame;
  const across = Math.max(...components.map((one) => one.across));
  const down = Math.max(...components.map((one) => one.down));
  const numAcross = Math.ceil(width / across / BLOCK);
  const numDown = Math.ceil(height / down / BLOCK);
  const inPlace = components.reduce((sum, one) => sum + one.across * one.down, 0);
  const numCoefficients = numAcross * numDown * inPlace * BLOCK * BLOCK;
  require(!isProgressive || numCoefficients <= MOST_COEFFICIENTS, "more than fits into memory");
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
  require(!isProgressive || isPossible({ from, to, shifts }, parts.length), "an odd scan");
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

// The bands and bits that a scan may have (ITU-T T.81, G.1.1.1).
function isPossible({ from, to, shifts }, numParts) {
  const [high, low] = [shifts >> 4, shifts & 15];
  const isBand = from === 0 ? to === 0 : from <= to && to <= 63 && numParts === 1;
  return isBand && low <= LOWEST_BIT && (high === 0 || low === high - 1);
}

function partsOf(payload, { frame, codes, quantisers }) {
  const parts = Array.from({ length: payload[0] }, (_, index) => {
    const [id, tables] = payload.subarray(1 + 2 * index, 3 + 2 * index);
    const one = frame.components.find((component) => component.id === id);
    require(one, "a scan of what is not there");
    // What quantised is settled by the first scan of a component; codes may change with each.
    one.plane.steps ??= quantisers[one.quantiser];
    return Object.assign(one, { dc: codes[0][tables >> 4], ac: codes[1][tables & 15], last: 0 });
  });
  const inPlace = parts.reduce((sum, one) => sum + one.across * one.down, 0);
  const isRead = parts.length > 0 && new Set(parts).size === parts.length;
  const fits = parts.length === 1 || inPlace <= MOST_BLOCKS_IN_A_PLACE;
  require(isRead && fits, "a scan that is not read");
  return parts;
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
    require(isWhole, "a scan is missing");
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
  if (components.length === 4) return adobe ? "ycck" : "cmyk";
  const letters = String.fromCharCode(...components.map((one) => one.id));
  const isRgb = !isJfif && (adobe === null ? letters === "RGB" : adobe === 0);
  return isRgb ? "rgb" : "ycc";
}
