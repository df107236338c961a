import { describe, expect, it } from "vitest";

import { boundingBox, bytes, floats, quantile, rint, type Mask } from "../src/local/arrays";
import { windows } from "../src/local/blend";
import { Crop } from "../src/local/crop";
import { harmonic } from "../src/local/harmonic";
import { Random } from "../src/local/random";
import { readOpenCv } from "../opencv";

describe("numbers", () => {
  it("are drawn as NumPy's default_rng(seed).standard_normal(dtype=float32) draws them", () => {
    const zero = new Random(0), drawn = Array.from({ length: 8 }, () => zero.normal());
    const wanted = [1.117622, -1.3871249, -0.4265716, -0.80358726, 0.60142773, -0.07499325, 0.05969319, -0.03200609];
    drawn.forEach((value, at) => expect(value).toBeCloseTo(wanted[at]!, 6));
  });

  it("are rounded to the even one of two, and quantiles lie between neighbours", () => {
    expect([0.5, 1.5, 2.5, -0.6, -1.5].map(rint)).toEqual([0, 2, 2, -1, -2]);
    expect(quantile(Float32Array.of(4, 1, 3, 2), 0.5)).toBe(2.5);
    expect(quantile(new Float32Array(), 0.5)).toBe(0);
  });
});

describe("an aligned face", () => {
  const aligned = [[96, 122], [160, 122], [128, 156], [102, 188], [154, 188]] as const;

  it("turns with its landmarks and scales with them", () => {
    const crop = Crop.aroundFace(aligned, 256)!, turned = Crop.aroundFace(aligned.map(([x, y]) => [-2 * y, 2 * x] as const), 256)!;
    expect(turned.scale).toBeCloseTo(2 * crop.scale, 9);
    expect(Math.atan2(turned.matrix[3], turned.matrix[0]) - Math.atan2(crop.matrix[3], crop.matrix[0])).toBeCloseTo(Math.PI / 2, 9);
    crop.toCrop(crop.toPhoto([12, 200])).forEach((value, at) => expect(value).toBeCloseTo([12, 200][at]!, 9));
  });

  it("has no direction where eyes and mouth fall together", () => {
    expect(Crop.aroundFace(aligned.map(() => [5, 5] as const), 256)).toBeNull();
  });
});

describe("holes", () => {
  const hole = (height: number, width: number, inside: (x: number, y: number) => boolean): Mask => {
    const mask = bytes(height, width);
    mask.data.forEach((_, at) => { mask.data[at] = Number(inside(at % width, Math.floor(at / width))); });
    return mask;
  };

  it("are filled by the harmonic surface: of a plane by the plane", () => {
    const plane = floats(90, 70), mask = hole(90, 70, (x, y) => x > 9 && x < 60 && y > 20 && y < 70);
    plane.data.forEach((_, at) => { plane.data[at] = at % 70 + 2 * Math.floor(at / 70); });
    const [solved] = harmonic([plane], mask, 0.01);
    expect(Math.max(...solved!.data.map((value, at) => Math.abs(value - plane.data[at]!)))).toBeLessThan(0.1);
  });

  it("far from each other have windows of their own, near ones share one", () => {
    const far = hole(400, 400, (x, y) => (x < 20 || x > 380) && y < 300);
    expect(windows(far, 1)).toHaveLength(2);
    const near = hole(400, 400, (x, y) => (x < 20 || (x > 30 && x < 50)) && y < 300);
    expect(windows(near, 1)).toEqual([[0, 0, 51, 301]]);
    expect(boundingBox(near)).toEqual([0, 0, 50, 300]);
    expect(boundingBox(bytes(3, 3))).toEqual([0, 0, 0, 0]);
  });
});

it("OpenCV's script makes no functions out of text, and its WebAssembly is whole", () => {
  const { script, wasm } = readOpenCv();
  expect(script).not.toMatch(/new Function|\beval\(/);
  expect(WebAssembly.validate(new Uint8Array(wasm))).toBe(true);
});
