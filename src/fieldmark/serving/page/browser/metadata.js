// The metadata of a photo: taken out of the file, so that no browser turns or recolours the picture
// by it, and read for the orientation alone. As in `fieldmark.data.metadata`, broken metadata is none.

const ORIENTATION_TAG = 0x0112;
const SHORT = 3;
const LONG = 4;
const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const PNG_COLOURS = new Set(["iCCP", "gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI"]);
const PNG_FRAMES = new Set(["acTL", "fcTL", "fdAT"]);
const ALPHA_AND_MORE = 0b00010000;

/** The parts of a file that decide its pixels, and its orientation, 1 to 8. */
export function split(bytes, kind) {
  const parts = { JPEG: splitJpeg, PNG: splitPng, WEBP: splitWebp }[kind]?.(bytes);
  if (!parts) return { content: [bytes], orientation: 1 };
  const found = orientationIn(parts.exif) ?? xmpOrientation(parts.xmp) ?? 1;
  return { content: parts.content, orientation: found >= 1 && found <= 8 ? found : 1 };
}

/** Text of bytes, one letter a byte. */
export function letters(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

function splitJpeg(bytes) {
  const parts = { content: [], exif: null, xmp: null };
  let keptUpTo = 0;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) {
      at += 1;
      continue;
    }
    const marker = bytes[at + 1];
    if (marker === 0xff) at += 1;
    else if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else if (marker === 0xda || marker === 0xd9) break;
    else {
      const end = at + 2 + ((bytes[at + 2] << 8) | bytes[at + 3]);
      if (end < at + 4 || end > bytes.length) break;
      const isMetadata = marker > 0xe0 && marker <= 0xef && marker !== 0xee;
      if (isMetadata || marker === 0xfe) {
        parts.content.push(bytes.subarray(keptUpTo, at));
        keptUpTo = end;
        if (marker === 0xe1) remember(parts, bytes.subarray(at + 4, end));
      }
      at = end;
    }
  }
  parts.content.push(bytes.subarray(keptUpTo));
  return parts;
}

function remember(parts, payload) {
  if (letters(payload, 0, EXIF.length) === EXIF) parts.exif ??= payload.subarray(EXIF.length);
  else if (letters(payload, 0, XMP.length) === XMP) parts.xmp ??= payload.subarray(XMP.length);
}

function splitPng(bytes) {
  const view = viewOf(bytes);
  const parts = { content: [bytes.subarray(0, 8)], exif: null, xmp: null };
  let at = 8;
  while (at + 12 <= bytes.length) {
    const end = at + 12 + view.getUint32(at);
    if (end > bytes.length) break;
    const name = letters(bytes, at + 4, 4);
    const payload = bytes.subarray(at + 8, end - 4);
    if (name === "eXIf") parts.exif ??= payload;
    else if (name === "iTXt" && letters(payload, 0, 17) === "XML:com.adobe.xmp") parts.xmp ??= payload;
    else if (!PNG_COLOURS.has(name) && !PNG_FRAMES.has(name)) {
      parts.content.push(bytes.subarray(at, end));
    }
    at = end;
  }
  parts.content.push(bytes.subarray(at));
  return parts;
}

function splitWebp(bytes) {
  const view = viewOf(bytes);
  const parts = { content: [], exif: null, xmp: null };
  let at = 12;
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at + 4, true);
    const end = at + 8 + length + (length % 2);
    if (end > bytes.length) break;
    const name = letters(bytes, at, 4);
    const payload = bytes.subarray(at + 8, at + 8 + length);
    if (name === "EXIF") parts.exif ??= withoutPrefix(payload);
    else if (name === "XMP ") parts.xmp ??= payload;
    else if (name === "VP8X") parts.content.push(plainFlags(bytes.slice(at, end)));
    else if (name !== "ICCP") parts.content.push(bytes.subarray(at, end));
    at = end;
  }
  parts.content.push(bytes.subarray(at));
  const head = bytes.slice(0, 12);
  viewOf(head).setUint32(4, 4 + parts.content.reduce((sum, part) => sum + part.length, 0), true);
  parts.content.unshift(head);
  return parts;
}

// Bits for a colour profile, EXIF and XMP are cleared; those for alpha and animation stay.
function plainFlags(chunk) {
  chunk[8] &= ALPHA_AND_MORE | 0b00000010;
  return chunk;
}

function withoutPrefix(payload) {
  return letters(payload, 0, EXIF.length) === EXIF ? payload.subarray(EXIF.length) : payload;
}

// The first directory of a TIFF block (EXIF 2.32, section 4.6.4).
function orientationIn(exif) {
  if (!exif) return null;
  const order = letters(exif, 0, 2);
  if (order !== "II" && order !== "MM") return null;
  const isLittle = order === "II";
  const view = viewOf(exif);
  try {
    const start = view.getUint32(4, isLittle);
    const numEntries = view.getUint16(start, isLittle);
    for (let entry = 0; entry < numEntries; entry++) {
      const at = start + 2 + 12 * entry;
      if (view.getUint16(at, isLittle) !== ORIENTATION_TAG) continue;
      const type = view.getUint16(at + 2, isLittle);
      if (type === SHORT) return view.getUint16(at + 8, isLittle);
      if (type === LONG) return view.getUint32(at + 8, isLittle);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return null;
}

function xmpOrientation(xmp) {
  if (!xmp) return null;
  const match = /tiff:Orientation(?:="|>)([0-9])/.exec(new TextDecoder("latin1").decode(xmp));
  return match ? Number(match[1]) : null;
}

function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
