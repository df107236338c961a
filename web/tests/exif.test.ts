import { describe, expect, it } from "vitest";

import { keepExif } from "../src/local/exif";

type Entry = readonly [number: number, kind: number, value: Uint8Array | readonly Entry[]];
const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);
const short = (value: number, little = true): Uint8Array => Uint8Array.of(...little ? [value & 255, value >> 8] : [value >> 8, value & 255]);
const BYTES: Record<number, number> = { 3: 2, 4: 4, 5: 8 };

/** A TIFF block of directories inside one another. next: of the first one. */
function block(entries: readonly Entry[], little = true, next = 0): Uint8Array {
  const made: number[] = little ? [0x49, 0x49, 42, 0, 8, 0, 0, 0] : [0x4d, 0x4d, 0, 42, 0, 0, 0, 8];
  const number = (value: number, size: number): number[] => {
    const bytes = Array.from({ length: size }, (_, at) => Math.floor(value / 256 ** at) & 255);
    return little ? bytes : bytes.reverse();
  };
  const add = (inside: readonly Entry[], following: number): void => {
    const at = made.length;
    made.push(...number(inside.length, 2), ...Array<number>(12 * inside.length).fill(0), ...number(following, 4));
    inside.forEach(([tag, kind, value], index) => {
      const nested = !(value instanceof Uint8Array), head = [...number(tag, 2), ...number(kind, 2)];
      const count = nested ? 1 : value.length / (BYTES[kind] ?? 1), inline = !nested && value.length <= 4;
      const rest = inline ? [...value, 0, 0, 0, 0].slice(0, 4) : number(made.length, 4);
      made.splice(at + 2 + 12 * index, 12, ...head, ...number(count, 4), ...rest);
      if (nested) add(value, 0);
      else if (!inline) made.push(...value);
    });
  };
  add(entries, next);
  return Uint8Array.from(made);
}

const CAMERA: readonly Entry[] = [[0x010f, 2, text("Canon")], [0x0132, 2, text("2026:11:29 12:00:00")]];

describe("EXIF", () => {
  it.each([true, false])("about camera, date and place stays, in its byte order (little: %s)", (little) => {
    const place: Entry = [0x8825, 4, [[1, 2, text("N")], [2, 5, new Uint8Array(24).fill(1)]]];
    const exposure: Entry = [0x8769, 4, [[0x829a, 5, new Uint8Array(8).fill(2)]]], whole = block([...CAMERA, exposure, place], little);
    expect(keepExif(whole)).toEqual({ exif: expect.any(Uint8Array) as Uint8Array, dropped: [] });
    const kept = keepExif(whole).exif!;
    expect(kept.length).toBeLessThanOrEqual(whole.length + 8);
    expect(keepExif(kept)).toEqual({ exif: kept, dropped: [] });
    const said = new TextDecoder("latin1").decode(kept);
    for (const part of ["Canon\0", "2026:11:29 12:00:00\0", "\x01".repeat(24), "\x02".repeat(8)]) expect(said).toContain(part);
    expect(said.startsWith(little ? "II" : "MM")).toBe(true);
  });

  it("loses makers' notes, the thumbnail, unknown fields and what hides in a text, and says so", () => {
    const notes: Entry = [0x8769, 4, [[37500, 7, text("face".repeat(9))]]], hidden: Entry = [0x010e, 2, text("Zm9v".repeat(100))];
    const { exif, dropped } = keepExif(block([...CAMERA, notes, hidden, [0xc4a5, 7, text("print image matching")]], true, 8));
    expect(dropped).toEqual(["the EXIF thumbnail", "the maker's notes", "unknown EXIF fields"]);
    expect(exif).toEqual(keepExif(block(CAMERA)).exif);
    expect(keepExif(block([notes])).exif).toBeNull();
  });

  it("tells neither an orientation, for photos stand upright, nor sides that have changed places", () => {
    const sides: Entry = [0x8769, 4, [[40962, 3, short(640)], [40963, 3, short(480)]]];
    const kept = (orientation: number): Uint8Array => keepExif(block([...CAMERA, [274, 3, short(orientation)], sides])).exif!;
    expect(kept(6)).toEqual(keepExif(block(CAMERA)).exif);
    expect(kept(3)).toEqual(keepExif(block([...CAMERA, sides])).exif);
  });

  it("that is damaged ends, whatever it points at", () => {
    const loop: Entry = [0x8769, 4, Uint8Array.of(8, 0, 0, 0)], long: Entry = [0x8769, 4, Uint8Array.of(255, 255, 255, 0)];
    expect(keepExif(block([...CAMERA, loop])).exif).toEqual(keepExif(block(CAMERA)).exif);
    expect(keepExif(block([...CAMERA, long])).dropped).toEqual(["damaged EXIF"]);
    expect(keepExif(text("no EXIF"))).toEqual({ exif: null, dropped: ["damaged EXIF"] });
    const whole = block(CAMERA);
    for (let end = 1; end < whole.length; end++) expect(keepExif(whole.slice(0, end)).dropped.length).toBeLessThan(3);
    expect(keepExif(new Uint8Array())).toEqual({ exif: null, dropped: [] });
  });
});
