/** Photos in and out of the browser's own readers and writers, with what of a file is kept beside its samples. */

import { ascii, bytes, type Bytes, type Mask } from "./arrays";
import { keepExif, orientationOf } from "./exif";
import { Refusal } from "./plan";
import { exifOfWebp, isWebp, partsOf, withoutExif } from "./webp";

const MOST_PIXELS = 50_000_000, QUALITY = 0.95, COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia";

export interface Photo {
  pixels: Bytes;
  /** JPEG, PNG, WEBP ... */
  format: string;
  file: Uint8Array;
  /** What the file loses here. */
  notes: string[];
}
export interface Provenance { method: string; weights: string; seed: number }

function formatOf(data: Uint8Array): string {
  if (data[0] === 0xff && data[1] === 0xd8) return "JPEG";
  if (ascii(data, 1, 3) === "PNG") return "PNG";
  if (isWebp(data)) return "WEBP";
  return ascii(data, 4, 4) === "ftyp" ? "AVIF" : "another";
}

/** The matrices that turn a picture stored with EXIF orientation 1, 2 ... 8 upright; width and height of the upright one. */
const TURNS: readonly ((width: number, height: number) => [number, number, number, number, number, number])[] = [
  () => [1, 0, 0, 1, 0, 0], (width) => [-1, 0, 0, 1, width, 0], (width, height) => [-1, 0, 0, -1, width, height], (_, height) => [1, 0, 0, -1, 0, height],
  () => [0, 1, 1, 0, 0, 0], (width) => [0, 1, -1, 0, width, 0], (width, height) => [0, -1, -1, 0, width, height], (_, height) => [0, -1, 1, 0, 0, height],
];

/** Upright, with its samples as stored where the file that is written keeps its profile, else as sRGB. */
export async function readPhoto(blob: Blob): Promise<Photo> {
  const file = new Uint8Array(await blob.arrayBuffer()), format = formatOf(file), notes: string[] = [];
  const turned = isWebp(file) ? orientationOf(exifOfWebp(file)) : 1; // browsers turn the others
  const bitmap = await createImageBitmap(isWebp(file) ? new Blob([withoutExif(file) as BlobPart], { type: "image/webp" }) : blob, {
    colorSpaceConversion: format === "JPEG" || format === "PNG" ? "none" : "default", premultiplyAlpha: "none",
  }).catch(() => {
    throw new Refusal("a photo that this browser can read", "another file", "save it as JPEG or PNG");
  });
  const [width, height] = turned > 4 ? [bitmap.height, bitmap.width] : [bitmap.width, bitmap.height];
  if (width * height > MOST_PIXELS) {
    throw new Refusal(`a photo of up to ${MOST_PIXELS / 1e6} megapixels`, `${width}x${height}`, "make it smaller, or use the command: facefill unmask");
  }
  const ink = pen(width, height);
  ink.setTransform(...TURNS[turned - 1]!(width, height));
  ink.drawImage(bitmap, 0, 0);
  bitmap.close();
  const samples = ink.getImageData(0, 0, width, height).data, pixels = bytes(height, width, 3);
  for (let at = 0, to = 0; at < samples.length; at += 4) {
    if (samples[at + 3] !== 255) {
      throw new Refusal("an opaque photo", "one with transparent places", "flatten it, or use the command, which keeps them: facefill unmask");
    }
    for (let channel = 0; channel < 3; channel++) pixels.data[to++] = samples[at + channel]!;
  }
  if (format === "PNG" && file[24] === 16) notes.push("its 16 bits per channel become 8; the command keeps them: facefill unmask");
  return { pixels, format, file, notes };
}

/** White above the middle is missing. */
export async function readMask(blob: Blob): Promise<Mask> {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }), ink = pen(bitmap.width, bitmap.height);
  ink.drawImage(bitmap, 0, 0);
  const samples = ink.getImageData(0, 0, bitmap.width, bitmap.height).data, mask = bytes(bitmap.height, bitmap.width);
  for (let at = 0; at < mask.data.length; at++) mask.data[at] = Number(samples[4 * at]! > 127);
  bitmap.close();
  return mask;
}

function pen(width: number, height: number): OffscreenCanvasRenderingContext2D {
  return new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
}

/** As canvases take it; a plane becomes grey. */
export function imageOf(pixels: Bytes): ImageData {
  const image = new ImageData(pixels.width, pixels.height);
  for (let at = 0, from = 0; at < image.data.length; at += 4) {
    for (let channel = 0; channel < 3; channel++) image.data[at + channel] = pixels.data[pixels.channels === 3 ? from + channel : from]!;
    from += pixels.channels;
    image.data[at + 3] = 255;
  }
  return image;
}

export async function encode(pixels: Bytes, type: "image/png" | "image/jpeg", quality = QUALITY): Promise<Uint8Array> {
  const ink = pen(pixels.width, pixels.height);
  ink.putImageData(imageOf(pixels), 0, 0);
  return new Uint8Array(await (await ink.canvas.convertToBlob({ type, quality })).arrayBuffer());
}

export const whiteOn = (mask: Mask): Bytes => ({ ...mask, data: mask.data.map((value) => 255 * value) });

/** The completed photo as a file of its own format, where the browser writes that, else as PNG; and notes on it. */
export async function writePhoto(photo: Photo, completed: Bytes, mask: Mask, by: Provenance): Promise<{ file: Uint8Array; type: string; notes: string[] }> {
  const notes = [...photo.notes], isJpeg = photo.format === "JPEG";
  const coded = await encode(completed, isJpeg ? "image/jpeg" : "image/png");
  if (isJpeg) notes.push(`the JPEG is coded anew: outside the hole levels differ by up to ${await farOutside(coded, completed, mask)}; PNG stays exact`);
  else if (photo.format !== "PNG") notes.push("it comes as PNG in sRGB, in which the rest of the photo is exact");
  const { exif, dropped } = keepExif(exifOf(photo.format, photo.file)), left = [...dropped, ...leftOut(photo)];
  if (left.length) notes.push(`left out, because it could show the photo as it was or no longer holds: ${left.join(", ")}`);
  const file = isJpeg ? intoJpeg(coded, photo.file, packet(by), exif) : intoPng(coded, photo.format === "PNG" ? photo.file : null, packet(by), exif);
  return { file, type: isJpeg ? "image/jpeg" : "image/png", notes };
}

async function farOutside(coded: Uint8Array, completed: Bytes, mask: Mask): Promise<number> {
  const again = (await readPhoto(new Blob([coded as BlobPart], { type: "image/jpeg" }))).pixels;
  return again.data.reduce((most, value, at) =>
    mask.data[Math.floor(at / 3)] ? most : Math.max(most, Math.abs(value - completed.data[at]!)), 0);
}

/** Says that what was hidden is invented, by what (IPTC Photo Metadata 2023.2, Digital Source Type). */
function packet({ method, weights, seed }: Provenance): Uint8Array {
  const said = `facefill:method="${method}" facefill:weights_sha256="${weights}" facefill:seed="${seed}"`;
  return new TextEncoder().encode(`<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">`
    + `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" `
    + `xmlns:facefill="https://ns.facefill/provenance/1.0/"><rdf:Description rdf:about="" Iptc4xmpExt:DigitalSourceType="${COMPOSITE}" `
    + `${said}/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`);
}

// ---- PNG: chunks of length, name, data, checksum

const KEPT_CHUNKS = ["iCCP", "sRGB", "gAMA", "cHRM", "pHYs"], LOST_CHUNKS: Record<string, string> =
  { tEXt: "text", zTXt: "text", iTXt: "text or XMP" };

function chunksOf(file: Uint8Array): { name: string; whole: Uint8Array }[] {
  const found = [], view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 8; at + 12 <= file.length;) {
    const end = at + 12 + view.getUint32(at);
    found.push({ name: ascii(file, at + 4, 4), whole: file.subarray(at, end) });
    at = end;
  }
  return found;
}

function intoPng(coded: Uint8Array, source: Uint8Array | null, xmp: Uint8Array, exif: Uint8Array | null): Uint8Array {
  const kept = source ? chunksOf(source).filter(({ name }) => KEPT_CHUNKS.includes(name)) : [];
  const [header, ...rest] = chunksOf(coded).filter(({ name }) => !KEPT_CHUNKS.includes(name));
  const text = join([new TextEncoder().encode("XML:com.adobe.xmp\0\0\0\0\0"), xmp]);
  return join([coded.subarray(0, 8), header!.whole, ...kept.map(({ whole }) => whole), ...exif ? [chunk("eXIf", exif)] : [], chunk("iTXt", text), ...rest.map(({ whole }) => whole)]);
}

function chunk(name: string, data: Uint8Array): Uint8Array {
  const made = new Uint8Array(12 + data.length), view = new DataView(made.buffer);
  view.setUint32(0, data.length);
  made.set(new TextEncoder().encode(name), 4);
  made.set(data, 8);
  view.setUint32(8 + data.length, checksum(made.subarray(4, 8 + data.length)));
  return made;
}

/** CRC-32 of a chunk's name and data. */
function checksum(data: Uint8Array): number {
  let sum = ~0;
  for (const byte of data) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? sum >>> 1 ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}

// ---- JPEG: segments of a marker, a length and data, up to the samples

function segmentsOf(file: Uint8Array): { marker: number; whole: Uint8Array }[] {
  const found = [];
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff && file[at + 1] !== 0xda;) {
    const end = at + 2 + (file[at + 2]! << 8 | file[at + 3]!);
    found.push({ marker: file[at + 1]!, whole: file.subarray(at, end) });
    at = end;
  }
  return found;
}

type Segment = ReturnType<typeof segmentsOf>[number];
const EXIF_NAME = "Exif\0\0", isExif = ({ marker, whole }: Segment): boolean => marker === 0xe1 && ascii(whole, 4, 6) === EXIF_NAME;
const isProfile = ({ marker, whole }: Segment): boolean => marker === 0xe2 && ascii(whole, 4, 11) === "ICC_PROFILE";

function intoJpeg(coded: Uint8Array, source: Uint8Array, xmp: Uint8Array, exif: Uint8Array | null): Uint8Array {
  const kept = segmentsOf(source).filter(isProfile).map(({ whole }) => whole);
  const [first, ...rest] = segmentsOf(coded), end = 2 + [first!, ...rest].reduce((sum, { whole }) => sum + whole.length, 0);
  return join([coded.subarray(0, 2), first!.whole, ...exif ? [segment(EXIF_NAME, exif)] : [], segment("http://ns.adobe.com/xap/1.0/\0", xmp), ...kept,
    ...rest.filter((segment) => !isProfile(segment)).map(({ whole }) => whole), coded.subarray(end)]);
}

/** An application segment 1. */
function segment(name: string, data: Uint8Array): Uint8Array {
  const length = 2 + name.length + data.length;
  return join([Uint8Array.of(0xff, 0xe1, length >> 8, length & 255), new TextEncoder().encode(name), data]);
}

/** The first EXIF block of a file, empty where there is none. */
function exifOf(format: string, file: Uint8Array): Uint8Array {
  if (format === "PNG") return chunksOf(file).find(({ name }) => name === "eXIf")?.whole.slice(8, -4) ?? new Uint8Array();
  if (format === "JPEG") return segmentsOf(file).find(isExif)?.whole.slice(10) ?? new Uint8Array();
  return format === "WEBP" ? exifOfWebp(file) : new Uint8Array();
}

/** What of the photo's file does not come along, beside EXIF. */
function leftOut({ format, file }: Photo): string[] {
  const found = format === "PNG" ? chunksOf(file).map(({ name }) => LOST_CHUNKS[name])
    : format === "WEBP" ? partsOf(file).map(({ name }) => name === "XMP " ? "text or XMP" : undefined) : format === "JPEG"
    ? segmentsOf(file).map((segment) => segment.marker > 0xe0 && segment.marker <= 0xef && segment.marker !== 0xee && !isProfile(segment)
      && !isExif(segment) ? "other metadata" : segment.marker === 0xfe ? "a comment" : undefined)
    : ["its metadata"];
  if (format === "JPEG" && segmentsOf(file).filter(isExif).length > 1) found.push("a second EXIF block");
  return [...new Set(found.filter((name) => name !== undefined))];
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    made.set(part, at);
    at += part.length;
  }
  return made;
}

export function base64(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length; at += 0x8000) text += String.fromCharCode(...data.subarray(at, at + 0x8000));
  return btoa(text);
}
