// The coefficients in a scan of a JPEG: Huffman codes, sequential or progressive (ITU-T T.81, F.2
// and G.2).

const LONGEST_CODE = 16;
// Beyond the last coefficient, where a run of a damaged file may end, as libjpeg has it.
const OVERRUN = 16;
const ZIGZAG = Uint8Array.from({ length: 64 + OVERRUN }, () => 63);
for (let sum = 0, at = 0; sum < 15; sum++) {
  for (let step = Math.max(0, sum - 7); step <= Math.min(sum, 7); step++) {
    ZIGZAG[at++] = sum % 2 ? 8 * step + (sum - step) : 8 * (sum - step) + step;
  }
}

/** What begins with each 16 bits: 256 x the length of its code + its symbol; 0 where none does. */
export function tableOf(numCodes, symbols) {
  const table = new Uint16Array(1 << LONGEST_CODE);
  let at = 0;
  let next = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    const span = 1 << (LONGEST_CODE - length);
    for (let code = 0; code < numCodes[length - 1]; code++) {
      table.fill((length << 8) | symbols[next++], at, at + span);
      at += span;
    }
  }
  if (at > table.length) throw new Error("more codes than there can be");
  return table;
}

/** The order in which coefficients are stored. */
export const order = ZIGZAG;

/** Bits of a scan, up to the next marker. */
export class Bits {
  #bytes;
  #held = 0;
  #count = 0;
  #numMissing = 0;

  constructor(bytes, at) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** The next symbol. */
  symbol(table) {
    if (this.#count < LONGEST_CODE) this.#fill();
    const found = table[(this.#held >>> (this.#count - LONGEST_CODE)) & 0xffff];
    if (!found) throw new Error("no such code");
    this.#count -= found >> 8;
    return found & 0xff;
  }

  /** The next bits as a number. */
  number(length) {
    if (this.#count < length) this.#fill();
    this.#count -= length;
    return (this.#held >>> this.#count) & ((1 << length) - 1);
  }

  /** The next bits as a number whose first bit, where it is 0, means a negative one. */
  signed(length) {
    if (!length) return 0;
    const value = this.number(length);
    return value >> (length - 1) ? value : value - (1 << length) + 1;
  }

  /** Go to the next marker, past what fills up before it. */
  end() {
    if (8 * this.#numMissing > this.#count) throw new Error("the scan breaks off");
    this.#held = this.#count = this.#numMissing = 0;
    while (this.at < this.#bytes.length && !this.#isMarker()) this.at += 1;
  }

  /** Go on after the restart marker of a number, which is one of eight in turn. */
  restart(number) {
    this.end();
    const isIt = this.#bytes[this.at] === 0xff && this.#bytes[this.at + 1] === 0xd0 + (number % 8);
    if (!isIt) throw new Error("a restart marker is missing");
    this.at += 2;
  }

  #isMarker() {
    const next = this.#bytes[this.at + 1];
    return this.#bytes[this.at] === 0xff && next !== 0 && next !== 0xff;
  }

  #fill() {
    while (this.#count <= 24) {
      const byte = this.#bytes[this.at];
      const isMarker = byte === 0xff && this.#bytes[this.at + 1] !== 0;
      if (isMarker || byte === undefined) this.#numMissing += 1;
      else this.at += byte === 0xff ? 2 : 1;
      this.#held = (this.#held << 8) | (isMarker ? 0 : byte);
      this.#count += 8;
    }
  }
}

/** How the blocks of a scan are read: a function of (bits, block, component, scan). */
export function readerOf({ isProgressive, from, high }) {
  if (!isProgressive) return readWhole;
  if (from === 0) return high ? refineFirst : readFirst;
  return high ? refineOthers : readOthers;
}

function readWhole(bits, block, component) {
  block[0] = component.last += bits.signed(bits.symbol(component.dc));
  for (let index = 1; index < 64; index++) {
    const code = bits.symbol(component.ac);
    const length = code & 15;
    if (!length && code !== 0xf0) break;
    index += code >> 4;
    if (length) block[ZIGZAG[index]] = bits.signed(length);
  }
}

function readFirst(bits, block, component, { low }) {
  component.last += bits.signed(bits.symbol(component.dc));
  block[0] = component.last << low;
}

function refineFirst(bits, block, _component, { low }) {
  block[0] |= bits.number(1) << low;
}

function readOthers(bits, block, { ac }, scan) {
  if (scan.numEmpty > 0) {
    scan.numEmpty -= 1;
    return;
  }
  for (let index = scan.from; index <= scan.to; index++) {
    const code = bits.symbol(ac);
    const [run, length] = [code >> 4, code & 15];
    if (!length && run < 15) {
      scan.numEmpty = (1 << run) - 1 + bits.number(run);
      return;
    }
    index += run;
    if (length) block[ZIGZAG[index]] = bits.signed(length) << scan.low;
  }
}

function refineOthers(bits, block, { ac }, scan) {
  const bit = 1 << scan.low;
  let index = scan.from;
  for (; scan.numEmpty === 0 && index <= scan.to; index++) {
    const code = bits.symbol(ac);
    const run = code >> 4;
    if (!(code & 15) && run < 15) {
      scan.numEmpty = (1 << run) + bits.number(run);
      break;
    }
    const value = code & 15 ? (bits.number(1) ? bit : -bit) : 0;
    index = refine(bits, block, { index, to: scan.to, bit, numZeros: run });
    if (value && index <= scan.to) block[ZIGZAG[index]] = value;
  }
  if (scan.numEmpty > 0) {
    refine(bits, block, { index, to: scan.to, bit, numZeros: 64 });
    scan.numEmpty -= 1;
  }
}

// Add a bit to coefficients that are not 0, up to one that is 0 after `numZeros` others.
function refine(bits, block, { index, to, bit, numZeros }) {
  for (; index <= to; index++) {
    const at = ZIGZAG[index];
    if (!block[at]) {
      if (numZeros === 0) break;
      numZeros -= 1;
    } else if (bits.number(1) && !(block[at] & bit)) block[at] += block[at] > 0 ? bit : -bit;
  }
  return index;
}
