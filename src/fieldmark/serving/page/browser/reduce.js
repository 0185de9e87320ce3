// A JPEG at a half, a quarter or an eighth of its size, as its decoder would give it.
//
// libjpeg decodes at a reduced scale by means of 2 x 2, 4 x 4 or 8 x 8 pixels of each component, luma
// and two of colour (`jidctred.c`), before it makes RGB of them. A browser decodes in full and gives
// RGB, so the components are found from that, and means are taken here. What was rounded to RGB in
// between leaves about every fifth pixel off by one grey level.

// ITU-R BT.601, as JFIF has it.
const RED = 0.299;
const GREEN = 0.587;
const BLUE = 0.114;
const FROM_RED = 2 * (1 - RED);
const FROM_BLUE = 2 * (1 - BLUE);

/**
 * Write a picture, reduced.
 * @param {object} from `data`: RGBA; `width`, `height`
 * @param {number} part 2, 4 or 8
 * @param {Uint8ClampedArray} into RGB
 */
export function reduce({ data, width, height }, part, into) {
  let place = 0;
  for (let top = 0; top < height; top += part) {
    const bottom = Math.min(top + part, height);
    for (let left = 0; left < width; left += part) {
      const right = Math.min(left + part, width);
      let [red, blue, grey, luma] = [0, 0, 0, 0];
      for (let y = top; y < bottom; y++) {
        for (let at = 4 * (y * width + left), end = 4 * (y * width + right); at < end; at += 4) {
          const own = RED * data[at] + GREEN * data[at + 1] + BLUE * data[at + 2];
          red += data[at];
          blue += data[at + 2];
          grey += own;
          luma += Math.round(own);
        }
      }
      const count = (bottom - top) * (right - left);
      const toRed = Math.round((red - grey) / count / FROM_RED) * FROM_RED;
      const toBlue = Math.round((blue - grey) / count / FROM_BLUE) * FROM_BLUE;
      const rounded = Math.round(luma / count);
      into[place] = rounded + toRed;
      into[place + 1] = rounded - (RED * toRed + BLUE * toBlue) / GREEN;
      into[place + 2] = rounded + toBlue;
      place += 3;
    }
  }
}
