import factory from "opencv";
import { beforeAll, describe, expect, it } from "vitest";

import { readOpenCv } from "../opencv";
import { boundingBox, bytes, count, type Box, type Bytes, type Point } from "../src/local/arrays";
import { KINDS, findCover, lookAt } from "../src/local/cover";
import { Crop } from "../src/local/crop";
import type { Network } from "../src/local/network";
import { use } from "../src/local/opencv";

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    const binding = factory({ wasmBinary: readOpenCv().wasm, onRuntimeInitialized: () => {
      use(binding);
      resolve();
    } });
  });
});

const landmarks: Point[] = ([[97, 121], [159, 121], [128, 160], [103, 190], [153, 190]] as const).map(([x, y]) => [x + 170, y + 100]);

/** As `drawn` of the package's tests draws it: a plain photo, and blue in a rectangle of the face's square. */
function drawn(): Bytes {
  const photo = bytes(500, 600, 3), square = bytes(256, 256);
  square.data.forEach((_, at) => { square.data[at] = Number(at >= 150 * 256 && at < 220 * 256 && at % 256 >= 80 && at % 256 < 180); });
  const blue = Crop.aroundFace(landmarks, 256)!.putMask(square, 500, 600);
  blue.data.forEach((value, at) => photo.data.set(value ? [20, 60, 250] : [200, 160, 140], 3 * at));
  return photo;
}

const face = { box: [220, 140, 380, 370], landmarks, score: 0.9, moved: 0 } as const;

/** Calls a pixel the last of so many kinds where it is much bluer than red. */
const blueOf = (kinds: number): Network => (inputs) => {
  const { shape, data } = inputs.worn!, size = shape[2]! * shape[3]!, said = new Float32Array(kinds * size);
  for (let at = 0; at < size; at++) said[at + (kinds - 1) * size] = 1 / (1 + Math.exp(24 + 20 * data[at]! - 20 * data[at + 2 * size]!));
  return Promise.resolve({ shape: [1, kinds, shape[2]!, shape[3]!], data: said });
};

describe("kinds of covers", () => {
  it.each([3, 4])("are told of networks with %i outputs", async (outputs) => {
    const last = KINDS[outputs - 1]!;
    for (const kinds of [KINDS, [last], KINDS.filter((kind) => kind !== last), ["hand"]]) {
      const found = await findCover(drawn(), { ...face, box: [...face.box] }, blueOf(outputs), kinds);
      expect([found.kinds, count(found.missing) > 0]).toEqual(kinds.includes(last) ? [[last], true] : [[], false]);
    }
  });
});

/** A mask in the lower half of the picture and sunglasses over the eyes, as `Kinds` of the package's tests says. */
const both: Network = () => {
  const said = new Float32Array(4 * 320 * 320).fill(0.01);
  const put = (kind: number, [x0, y0, x1, y1]: Box): void => {
    for (let y = y0; y < y1; y++) said.fill(0.97, (kind * 320 + y) * 320 + x0, (kind * 320 + y) * 320 + x1);
  };
  put(0, [100, 150, 220, 240]);
  put(1, [90, 100, 230, 135]);
  return Promise.resolve({ shape: [1, 4, 320, 320], data: said });
};

describe("what stays on", () => {
  it.each([
    [KINDS, ["mask", "sunglasses"], []], [["mask"], ["mask"], ["sunglasses"]], [["sunglasses"], ["sunglasses"], ["mask"]],
    [["other", "hand"], [], ["mask", "sunglasses"]],
  ])("is told of %s", async (asked, kinds, leftOn) => {
    expect(await findCover(drawn(), { ...face, box: [...face.box] }, both, asked)).toMatchObject({ kinds, leftOn });
  });
});

describe("a camera's quick look", () => {
  it.each([1, 3, 4])("finds what the package's quick look finds, of %i kinds", async (outputs) => {
    const { hole } = await lookAt(drawn(), { ...face, box: [...face.box] }, blueOf(outputs));
    // what `test_a_quick_look_finds_what_the_browser_s_finds` of the package finds, to a pixel at each edge
    boundingBox(hole).forEach((edge, at) => expect(Math.abs(edge - [74, 144, 186, 226][at]!)).toBeLessThanOrEqual(1));
    expect(Math.abs(count(hole) / 9071 - 1)).toBeLessThan(0.03);
  });
});
