// From a file to RGB pixels, as `fieldmark.data.images` has it: upright, alpha laid on white,
// colour profiles left aside, and a JPEG at a half, a quarter or an eighth of its size where that is
// enough. That is decoded here; the browser's own decoder does all else.

import { decodeReduced, sizeOf } from "./jpeg.js";
import { letters, split } from "./metadata.js";

// What is not reduced goes through the model's own resizing, in numbers of 64 bits a channel.
const MOST_PIXELS_UNREDUCED = 24_000_000;
const PIXELS_AT_ONCE = 4_000_000;
const TYPES = {
  JPEG: "image/jpeg", PNG: "image/png", WEBP: "image/webp", GIF: "image/gif", BMP: "image/bmp",
  AVIF: "image/avif", TIFF: "image/tiff", HEIC: "image/heic",
};

/** A file that cannot be used as a photo; the message is the reason. */
export class UnreadablePhoto extends Error {}

/**
 * Read a photo.
 * @param {Blob} file
 * @param {object} how `reduceToPx`: the side that a JPEG may be reduced to, or null; `turnUpright`
 * @returns {Promise<{pixels: Uint8Array, width: number, height: number}>} RGB, row by row
 */
export async function readPhoto(file, { reduceToPx, turnUpright }) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = recognise(bytes);
  requireEnd(bytes, kind);
  const { content, orientation } = split(bytes, kind);
  const reduced = kind === "JPEG" && reduceToPx ? reducedJpeg(bytes, reduceToPx) : null;
  const raster = reduced ?? (await inFull(new Blob(content, { type: TYPES[kind] }), kind));
  return turnUpright ? turned(raster, orientation) : raster;
}

// Nothing where it is not to be reduced, and where the browser's decoder may know better.
function reducedJpeg(bytes, toPx) {
  try {
    const { width, height } = sizeOf(bytes);
    const part = reduction(width, height, toPx);
    return part === 1 ? null : decodeReduced(bytes, part);
  } catch {
    return null;
  }
}

async function inFull(blob, kind) {
  const bitmap = await decoded(blob, kind);
  try {
    const { width, height } = bitmap;
    if (width * height > MOST_PIXELS_UNREDUCED) {
      const told = `${width} x ${height} pixels are too many for a browser: reduce it`;
      throw new UnreadablePhoto(told);
    }
    return rasterOf(bitmap);
  } finally {
    bitmap.close();
  }
}

/** By how much, 1, 2, 4 or 8, a JPEG is reduced so that both sides keep `toPx`. */
export function reduction(width, height, toPx) {
  return [8, 4, 2].find((part) => Math.floor(Math.min(width, height) / toPx) >= part) ?? 1;
}

function recognise(bytes) {
  if (!bytes.length) throw new UnreadablePhoto("empty: the file has no content");
  const start = letters(bytes, 0, 16);
  if (start.startsWith("\xff\xd8\xff")) return "JPEG";
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (/^GIF8[79]a/.test(start)) return "GIF";
  if (/^RIFF[^]{4}WEBP/.test(start)) return "WEBP";
  if (start.startsWith("BM")) return "BMP";
  if (/^(II[*+]\0|MM\0[*+])/.test(start)) return "TIFF";
  if (/^[^]{4}ftypavi[fs]/.test(start)) return "AVIF";
  if (/^[^]{4}ftyp(hei[cxms]|hev[cx]|mif1)/.test(start)) return "HEIC";
  throw new UnreadablePhoto("not a photo in a format that a browser reads");
}

// Browsers show what there is of a file that breaks off; the rest would be made up.
function requireEnd(bytes, kind) {
  const end = letters(bytes, Math.max(0, bytes.length - 4096), 4096);
  const isCut =
    (kind === "JPEG" && !hasPair(bytes, 0xff, 0xd9)) || (kind === "PNG" && !end.includes("IEND"));
  if (isCut) throw new UnreadablePhoto(`truncated: the ${kind} data ends early`);
}

function hasPair(bytes, first, second) {
  for (let at = bytes.lastIndexOf(second); at > 0; at = bytes.lastIndexOf(second, at - 1)) {
    if (bytes[at - 1] === first) return true;
  }
  return false;
}

async function decoded(blob, kind) {
  try {
    return await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      // Some decoders round down where they multiply by alpha; a canvas does not.
      premultiplyAlpha: "none",
    });
  } catch {
    throw new UnreadablePhoto(`damaged ${kind} file, or this browser does not read ${kind}`);
  }
}

// Parts of a picture at a time, since a canvas must not be as large as a photo may be.
function rasterOf(bitmap) {
  const { width, height } = bitmap;
  const pixels = new Uint8Array(3 * width * height);
  const rows = Math.max(1, Math.floor(PIXELS_AT_ONCE / width));
  const canvas = new OffscreenCanvas(width, Math.min(height, rows));
  const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  pen.fillStyle = "#fff";
  for (let top = 0; top < height; top += rows) {
    const tall = Math.min(rows, height - top);
    pen.fillRect(0, 0, width, tall);
    pen.drawImage(bitmap, 0, top, width, tall, 0, 0, width, tall);
    copy(pen.getImageData(0, 0, width, tall).data, pixels.subarray(3 * width * top));
  }
  return { pixels, width, height };
}

function copy(data, into) {
  for (let at = 0, place = 0; at < data.length; at += 4, place += 3) {
    into[place] = data[at];
    into[place + 1] = data[at + 1];
    into[place + 2] = data[at + 2];
  }
}

/** Undo an EXIF orientation, 1 to 8. */
export function turned(raster, orientation) {
  if (orientation === 1) return raster;
  const { pixels, width, height } = raster;
  const isOnItsSide = orientation >= 5;
  const [wide, tall] = isOnItsSide ? [height, width] : [width, height];
  const isUpsideDown = [3, 4, 7, 8].includes(orientation);
  const isMirrored = [2, 3, 6, 7].includes(orientation);
  const result = new Uint8Array(pixels.length);
  let into = 0;
  for (let y = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++) {
      const fromY = isUpsideDown ? tall - 1 - y : y;
      const fromX = isMirrored ? wide - 1 - x : x;
      const at = 3 * (isOnItsSide ? fromX * width + fromY : fromY * width + fromX);
      result[into++] = pixels[at];
      result[into++] = pixels[at + 1];
      result[into++] = pixels[at + 2];
    }
  }
  return { pixels: result, width: wide, height: tall };
}
