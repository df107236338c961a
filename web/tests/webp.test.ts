import { describe, expect, it } from "vitest";

import { orientationOf } from "../src/local/exif";
import { exifOfWebp, isTurnedWebp, isWebp, partsOf, withoutExif } from "../src/local/webp";

const text = (value: string): number[] => [...new TextEncoder().encode(value)];
const number = (value: number): number[] => [value & 255, value >> 8 & 255, value >> 16 & 255, value >> 24 & 255];
const part = (name: string, data: readonly number[]): number[] => [...text(name), ...number(data.length), ...data, ...data.length % 2 ? [0] : []];
/** A TIFF block that says nothing but an orientation. */
const turned = (orientation: number): number[] => [...text("II*\0"), ...number(8), 1, 0, 0x12, 1, 3, 0, ...number(1), orientation, 0, 0, 0, ...number(0)];
const file = (...parts: number[][]): Uint8Array => Uint8Array.from([...text("RIFF"), ...number(4 + parts.flat().length), ...text("WEBP"), ...parts.flat()]);

describe("a WebP", () => {
  it.each([["", 6], ["Exif\0\0", 8]])("tells how it is turned, with %j before the block", async (name, orientation) => {
    const whole = file(part("VP8X", [1, 2, 3]), part("EXIF", [...text(name), ...turned(orientation)]));
    expect(isWebp(whole)).toBe(true);
    expect(orientationOf(exifOfWebp(whole))).toBe(orientation);
    expect(await isTurnedWebp(new Blob([whole as BlobPart]))).toBe(true);
    const without = withoutExif(whole);
    expect(partsOf(without).map(({ name }) => name)).toEqual(["VP8X", "none"]);
    expect([without.length, exifOfWebp(without).length, isWebp(without)]).toEqual([whole.length, 0, true]);
  });

  it("stands upright where it says nothing, or what means nothing", async () => {
    for (const whole of [file(part("VP8 ", [0])), file(part("EXIF", turned(1))), file(part("EXIF", turned(9))), file(part("EXIF", [1, 2]))]) {
      expect(await isTurnedWebp(new Blob([whole as BlobPart]))).toBe(false);
    }
    expect(await isTurnedWebp(new Blob(["RIFF"]))).toBe(false);
  });

  it("that was cut off is read as far as it goes", () => {
    expect(partsOf(file(part("EXIF", turned(6))).slice(0, -20)).map(({ data }) => data.length)).toEqual([6]);
  });
});
