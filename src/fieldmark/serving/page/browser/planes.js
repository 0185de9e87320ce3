// Coefficients of a JPEG to samples, and samples to RGB: the integers of libjpeg-turbo
// (`jidctint.c`, `jidctred.c`, `jdsample.c`, `jdcolor.c`), so that not one pixel differs.

// What the coefficients 0, 2, 4, 6 and 1, 3, 5, 7 weigh in the first half of the samples; in the
// second half, backwards, those of the odd ones are subtracted. In units of 1 / 8192, 1 / 16384 and
// 1 / 32768 for 8, 4 and 2 samples.
const EVEN = {
  8: [[8192, 10703, 8192, 4433], [8192, 4433, -8192, -10704], [8192, -4433, -8192, 10704],
    [8192, -10703, 8192, -4433]],
  4: [[16384, 15137, 0, -6270], [16384, -15137, 0, 6270]],
  2: [[32768, 0, 0, 0]],
};
const ODD = {
  8: [[11363, 9633, 6437, 2260], [9633, -2259, -11362, -6436], [6437, -11362, 2261, 9633],
    [2260, -6436, 9633, -11363]],
  4: [[20995, 7373, -4926, -4176], [8697, -17799, 11893, -1730]],
  2: [[29692, -10426, 6967, -5906]],
};
const FIRST_SHIFT = { 8: 11, 4: 12, 2: 13 };
const SECOND_SHIFT = { 8: 18, 4: 19, 2: 20 };
const MIDDLE = 128;
const from = new Int32Array(8);
const to = new Int32Array(8);
const between = new Int32Array(64);

/** Samples of one component. */
export class Plane {
  /**
   * @param {object} how `stretch`: {side, across, down}: samples along a block, 1, 2, 4 or 8, and
   *   how often each is wanted; `stride`: blocks in a row; `numBlocks`; `width` and `height`: the
   *   samples that count
   */
  constructor({ stretch, stride, numBlocks, width, height }) {
    this.stretch = stretch;
    this.stride = stride * stretch.side;
    this.width = width;
    this.height = height;
    this.samples = new Uint8ClampedArray(numBlocks * stretch.side ** 2);
    this.steps = null;
  }

  /** Write a block, the one in column `x` of row `y` of blocks. */
  write(block, x, y) {
    const { samples, stride, steps } = this;
    const { side } = this.stretch;
    const start = side * (y * stride + x);
    if (side === 1) {
      samples[start] = ((block[0] * steps[0] + 4) >> 3) + MIDDLE;
      return;
    }
    for (let column = 0; column < 8; column++) {
      for (let at = column, row = 0; row < 8; row++, at += 8) from[row] = block[at] * steps[at];
      transform(side, FIRST_SHIFT[side]);
      for (let row = 0; row < side; row++) between[8 * row + column] = to[row];
    }
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < 8; column++) from[column] = between[8 * row + column];
      transform(side, SECOND_SHIFT[side]);
      const at = start + row * stride;
      for (let column = 0; column < side; column++) samples[at + column] = to[column] + MIDDLE;
    }
  }

  /** The same, stretched; twice in one direction is done by a triangle, if `isSmooth`. */
  stretched({ isSmooth }) {
    const { across, down } = this.stretch;
    if (across === 1 && down === 1) return this;
    const isRead = across % 1 === 0 && down % 1 === 0 && !(across === 2 && down === 2);
    if (!isRead) throw new Error("sampling that is not read");
    const isTriangle = isSmooth && across * down === 2 && (down === 2 || this.width > 2);
    const [stepAcross, stepDown] = isTriangle ? [across - 1, down - 1] : [0, 0];
    const [width, height] = [this.width * across, this.height * down];
    const stretch = { side: 1, across: 1, down: 1 };
    const larger = new Plane({ stretch, stride: width, numBlocks: width * height, width, height });
    for (let at = 0, y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const isSecond = stepAcross ? x % 2 : y % 2;
        const [ownX, ownY] = [Math.floor(x / across), Math.floor(y / down)];
        const direction = isSecond ? 1 : -1;
        const other = this.#at(ownX + direction * stepAcross, ownY + direction * stepDown);
        larger.samples[at++] = (3 * this.#at(ownX, ownY) + other + 1 + isSecond) >> 2;
      }
    }
    return larger;
  }

  #at(x, y) {
    const column = Math.min(Math.max(x, 0), this.width - 1);
    return this.samples[Math.min(Math.max(y, 0), this.height - 1) * this.stride + column];
  }
}

function transform(side, shift) {
  const round = 1 << (shift - 1);
  const evens = EVEN[side];
  const odds = ODD[side];
  for (let index = 0; index < side / 2; index++) {
    const even = evens[index];
    const odd = odds[index];
    const sum = even[0] * from[0] + even[1] * from[2] + even[2] * from[4] + even[3] * from[6];
    const change = odd[0] * from[1] + odd[1] * from[3] + odd[2] * from[5] + odd[3] * from[7];
    to[index] = (sum + change + round) >> shift;
    to[side - 1 - index] = (sum - change + round) >> shift;
  }
}

/**
 * Make RGB.
 * @param {Plane[]} planes of the components
 * @param {object} how `space`: "grey", "rgb", "ycc", "cmyk" or "ycck"; `width`, `height`
 * @returns {Uint8Array}
 */
export function toRgb(planes, { space, width, height }) {
  const pixels = new Uint8ClampedArray(3 * width * height);
  const isLuma = space.startsWith("ycc");
  const [first, second, third, black] = space === "grey" ? [0, 0, 0].map(() => planes[0]) : planes;
  for (let at = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      pixels[at] = first.samples[y * first.stride + x];
      pixels[at + 1] = second.samples[y * second.stride + x];
      pixels[at + 2] = third.samples[y * third.stride + x];
      if (isLuma) fromLuma(pixels, at);
      if (black) lay(pixels, at, black.samples[y * black.stride + x], space === "ycck");
    }
  }
  return new Uint8Array(pixels.buffer);
}

// ITU-R BT.601, as JFIF has it, in units of 1 / 65536.
function fromLuma(pixels, at) {
  const luma = pixels[at];
  const blue = pixels[at + 1] - MIDDLE;
  const red = pixels[at + 2] - MIDDLE;
  pixels[at] = luma + ((91881 * red + 32768) >> 16);
  pixels[at + 1] = luma + ((-22554 * blue - 46802 * red + 32768) >> 16);
  pixels[at + 2] = luma + ((116130 * blue + 32768) >> 16);
}

// Inks as Adobe stores them, and Pillow reads them: 255 where there is none.
function lay(pixels, at, black, isTurned) {
  for (let index = at; index < at + 3; index++) {
    const product = black * (isTurned ? pixels[index] : 255 - pixels[index]) + 128;
    pixels[index] = black - (((product >> 8) + product) >> 8);
  }
}
