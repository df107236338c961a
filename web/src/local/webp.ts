/** WebP files: parts of a name, a length and data of an even number of bytes (RFC 9649). Not all browsers turn one by its
 * EXIF; `facefill` does. */

import { ascii } from "./arrays";
import { orientationOf } from "./exif";

const EXIF_NAME = "Exif\0\0";

export const isWebp = (file: Uint8Array): boolean => ascii(file, 0, 4) === "RIFF" && ascii(file, 8, 4) === "WEBP";

export function partsOf(file: Uint8Array): { name: string; at: number; data: Uint8Array }[] {
  const found = [], view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 12; at + 8 <= file.length;) {
    const length = view.getUint32(at + 4, true);
    found.push({ name: ascii(file, at, 4), at, data: file.subarray(at + 8, at + 8 + length) });
    at += 8 + length + length % 2;
  }
  return found;
}

/** The TIFF block of a file's EXIF, empty where there is none. */
export function exifOfWebp(file: Uint8Array): Uint8Array {
  const block = partsOf(file).find(({ name }) => name === "EXIF")?.data ?? new Uint8Array();
  return ascii(block, 0, 6) === EXIF_NAME ? block.slice(6) : block.slice();
}

/** A copy in which no browser sees EXIF. */
export function withoutExif(file: Uint8Array): Uint8Array {
  const copy = file.slice();
  for (const { name, at } of partsOf(file)) if (name === "EXIF") copy.set(new TextEncoder().encode("none"), at);
  return copy;
}

/** Whether a photo is a WebP that does not stand upright as it is stored. */
export async function isTurnedWebp(photo: Blob): Promise<boolean> {
  if (ascii(new Uint8Array(await photo.slice(0, 12).arrayBuffer()), 8, 4) !== "WEBP") return false;
  return orientationOf(exifOfWebp(new Uint8Array(await photo.arrayBuffer()))) > 1;
}
