/** What of a photo's EXIF is known to be harmless, written anew, as `facefill.files.metadata` keeps it; its tables are the
 * same, which a test of the Python package compares. Photos stand upright here, so that no orientation is kept.
 *
 * Sources: TIFF 6.0; EXIF 2.32 (CIPA DC-008). */

interface Tag { number: number; kind: number; length: number; value: Uint8Array | readonly Tag[] }
export interface KeptExif { exif: Uint8Array | null; dropped: string[] }

const ROOT = 0, EXIF = 0x8769, GPS = 0x8825, INTEROPERABILITY = 0xa005, ORIENTATION = 274, MAKERS_NOTES = 37500, SIDES = [40962, 40963];
const KEPT: Record<number, ReadonlySet<number>> = {
  [ROOT]: numbersOf("270-272 274 282 283 296 305 306 315 316 318 319 529 531 532 18246 18249 33432 40091-40095"),
  [EXIF]: numbersOf("33434 33437 34850 34852 34855 34864-34869 36864 36867 36868 36880-36882 37121 37377-37386 37396 37510 "
    + "37520-37522 37888-37893 40960-40963 41483 41486-41488 41492 41493 41495 41728 41729 41985-41994 41996 42016 "
    + "42032-42037 42080 42240"),
  [GPS]: numbersOf("0-31"),
  [INTEROPERABILITY]: numbersOf("1 2 4096-4098"),
};
const TEXTS = numbersOf("270-272 305 306 315 316 33432 34852 36867 36868 36880-36882 37520-37522 42016 42032 42033 42035-42037 "
  + "1 3 8-10 12 14 16 18 19 21 23 25 29 4096");
const WITHIN: Record<number, readonly number[]> = { [ROOT]: [EXIF, GPS], [EXIF]: [INTEROPERABILITY] };
const CODED_TEXTS = [37510, 27, 28], WINDOWS_TEXTS = numbersOf("40091-40095"), LONGEST_NUMBERS = 64, LONGEST_TEXT = 32_000;
const BINARY = /[A-Za-z0-9+/=_-]{256}|(?:[0-9A-Fa-f]{2}[\s,]*){200}/, STRANGE = /(?![ \t\n\r])[\p{C}\p{Z}\ufffd]/gu;
const BYTES = [1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];

/** Numbers of tags and ranges of them: "270-272 274". */
function numbersOf(listed: string): ReadonlySet<number> {
  return new Set(listed.split(" ").flatMap((part) => {
    const [low, high] = part.split("-").map(Number) as [number, number?];
    return Array.from({ length: (high ?? low) - low + 1 }, (_, at) => low + at);
  }));
}

/** block: a TIFF block, as it follows "Exif" and two zeros in a JPEG; empty for none. */
export function keepExif(block: Uint8Array): KeptExif {
  if (!block.length) return { exif: null, dropped: [] };
  const reader = new Reader(block), dropped: string[] = [];
  const [tags, next] = reader.directory(reader.start), turned = reader.numberIn(tags.get(ORIENTATION)) > 4;
  if (next) dropped.push("the EXIF thumbnail");
  const kept = keep(reader, ROOT, tags, turned, dropped);
  if (reader.broken) dropped.push("damaged EXIF");
  return { exif: kept.length ? written(kept, reader.little) : null, dropped: [...new Set(dropped)] };
}

/** How a photo with that block is turned, 1 (upright) to 8. */
export function orientationOf(block: Uint8Array): number {
  if (!block.length) return 1;
  const reader = new Reader(block), said = reader.numberIn(reader.directory(reader.start)[0].get(ORIENTATION));
  return said >= 1 && said <= 8 ? said : 1;
}

function keep(reader: Reader, name: number, tags: ReadonlyMap<number, Tag>, turned: boolean, dropped: string[]): Tag[] {
  const kept: Tag[] = [];
  for (const [number, tag] of tags) {
    if (WITHIN[name]?.includes(number)) {
      const inside = keep(reader, number, reader.directory(reader.numberIn(tag))[0], turned, dropped);
      if (inside.length) kept.push({ number, kind: 4, length: 1, value: inside });
    } else if (name === ROOT && number === ORIENTATION) {
      continue; // said by the pixels now
    } else if (name === EXIF && turned && SIDES.includes(number)) {
      continue; // width and height have changed places
    } else if (KEPT[name]!.has(number) && isHarmless(tag, reader.little)) {
      kept.push(tag);
    } else {
      dropped.push(number === MAKERS_NOTES ? "the maker's notes" : "unknown EXIF fields");
    }
  }
  return kept;
}

function isHarmless({ number, kind, value }: Tag, little: boolean): boolean {
  const data = value as Uint8Array;
  if (kind === 2 || TEXTS.has(number)) return kind === 2 && TEXTS.has(number) && isText(data, "utf-8");
  if (WINDOWS_TEXTS.has(number)) return isText(data, "utf-16le");
  if (CODED_TEXTS.includes(number) && kind === 7) {
    const wide = String.fromCharCode(...data.subarray(0, 8)) === "UNICODE\0";
    return isText(data.subarray(8), wide ? little ? "utf-16le" : "utf-16be" : "utf-8");
  }
  return data.length <= 4 || (kind >= 3 && kind <= 12 && kind !== 7 && data.length <= LONGEST_NUMBERS);
}

/** Whether a value is a text that people read: bounded, in words, and without long runs of digits or strange signs. */
function isText(value: Uint8Array, coding: string): boolean {
  if (value.length > 4 * LONGEST_TEXT) return false;
  let text = new TextDecoder(coding).decode(value);
  if (coding === "utf-8" && text.includes("\ufffd")) text = new TextDecoder("windows-1252").decode(value);
  text = text.replace(/[\0 ]+$/, "");
  const worded = /[^\0-\x7f]/.test(text) || text.length < 400 || 30 * text.trim().split(/\s+/).length > text.length;
  return worded && text.length <= LONGEST_TEXT && !BINARY.test(text) && 50 * (text.match(STRANGE)?.length ?? 0) <= text.length;
}

/** Counts every byte of a block once, so that directories that point at themselves or at shared bytes end. */
class Reader {
  readonly little: boolean;
  readonly start: number;
  broken: boolean;
  private readonly view: DataView;
  private readonly seen = new Set<number>();
  private left: number;

  constructor(private readonly block: Uint8Array) {
    this.view = new DataView(block.buffer, block.byteOffset, block.length);
    this.little = block[0] === 0x49;
    this.left = block.length;
    this.broken = block.length < 8 || block[0] !== block[1] || !(this.little || block[0] === 0x4d);
    this.start = this.broken ? 0 : this.view.getUint32(4, this.little);
  }

  /** The tags of the directory at that place, by number, and the place of the one that follows; 0 for none. */
  directory(at: number): [ReadonlyMap<number, Tag>, number] {
    const { view, little } = this, tags = new Map<number, Tag>();
    if (this.broken || !at || this.seen.has(at) || !this.spend(at, 2)) return [tags, 0];
    this.seen.add(at);
    const count = view.getUint16(at, little), end = at + 2 + 12 * count;
    if (!this.spend(at + 2, 12 * count)) return [tags, 0];
    for (let place = at + 2; place < end; place += 12) {
      const number = view.getUint16(place, little), kind = view.getUint16(place + 2, little), length = view.getUint32(place + 4, little);
      const size = (BYTES[kind] ?? 1) * length, from = size > 4 ? view.getUint32(place + 8, little) : place + 8;
      if (from + size > this.block.length) continue; // makers' entries are often damaged
      if (size > 4 && !this.spend(from, size)) return [tags, 0];
      if (!tags.has(number)) tags.set(number, { number, kind, length, value: this.block.slice(from, from + size) });
    }
    return [tags, end + 4 <= this.block.length ? view.getUint32(end, little) : 0];
  }

  /** The first of an entry's unsigned numbers; 0 where it holds none. */
  numberIn(tag: Tag | undefined): number {
    const data = tag?.value as Uint8Array | undefined;
    if (!tag?.length || !data || ![3, 4, 13].includes(tag.kind)) return 0;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    return tag.kind === 3 ? view.getUint16(0, this.little) : view.getUint32(0, this.little);
  }

  private spend(at: number, size: number): boolean {
    this.left -= size;
    this.broken ||= this.left < 0 || at + size > this.block.length;
    return !this.broken;
  }
}

/** A TIFF block of one directory and those inside it. */
function written(tags: readonly Tag[], little: boolean): Uint8Array {
  const made = new DataView(new ArrayBuffer(sizeOf(tags) + 8));
  made.setUint16(0, little ? 0x4949 : 0x4d4d);
  made.setUint16(2, 42, little);
  made.setUint32(4, 8, little);
  write(made, 8, tags, little);
  return new Uint8Array(made.buffer);
}

const isNested = (value: Tag["value"]): value is readonly Tag[] => !(value instanceof Uint8Array);
const even = (size: number): number => size + size % 2;
const behind = ({ value }: Tag): number => isNested(value) ? sizeOf(value) : value.length > 4 ? even(value.length) : 0;
const sizeOf = (tags: readonly Tag[]): number => tags.reduce((sum, tag) => sum + 12 + behind(tag), 6);

function write(into: DataView, at: number, tags: readonly Tag[], little: boolean): void {
  let free = at + 6 + 12 * tags.length;
  into.setUint16(at, tags.length, little);
  [...tags].sort((one, other) => one.number - other.number).forEach((tag, index) => {
    const place = at + 2 + 12 * index, { value } = tag, pointed = isNested(value) || value.length > 4, to = pointed ? free : place + 8;
    into.setUint16(place, tag.number, little);
    into.setUint16(place + 2, tag.kind, little);
    into.setUint32(place + 4, tag.length, little);
    if (pointed) into.setUint32(place + 8, free, little);
    if (isNested(value)) write(into, to, value, little);
    else new Uint8Array(into.buffer).set(value, to);
    free += behind(tag);
  });
}
