import factory from "opencv";
import { beforeAll, describe, expect, it, vi } from "vitest";

import { readOpenCv } from "../opencv";
import { bytes, type Bytes, type Point } from "../src/local/arrays";
import type { Face } from "../src/local/finder";
import type { LiveNetworks } from "../src/local/load";
import { use } from "../src/local/opencv";
import { Random } from "../src/local/random";
import { Stream } from "../src/local/stream";
import { similarity, Tracker } from "../src/local/track";

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    const binding = factory({ wasmBinary: readOpenCv().wasm, onRuntimeInitialized: () => {
      use(binding);
      resolve();
    } });
  });
});

const landmarks: Point[] = [[130, 90], [190, 90], [160, 120], [138, 150], [182, 150]];
const face = (x = 0, y = 0): Face => ({
  box: [105 + x, 50 + y, 215 + x, 190 + y], landmarks: landmarks.map(([u, v]) => [u + x, v + y]), score: 1, moved: 0,
});

/** Blocks of 5 pixels in colours drawn by chance, shifted. */
function frame(x: number, y: number): Bytes {
  const made = bytes(240, 320, 3), random = new Random(1), levels = Array.from({ length: 80 * 80 }, () => 128 + 40 * random.normal());
  for (let at = 0; at < made.data.length; at++) {
    const pixel = Math.floor(at / 3), u = Math.floor((pixel % 320 - x + 40) / 5), v = Math.floor((Math.floor(pixel / 320) - y + 40) / 5);
    made.data[at] = Math.min(255, Math.max(0, levels[v * 80 + u]!));
  }
  return made;
}

vi.setConfig({ testTimeout: 60_000 });

describe("a face that is followed", () => {
  it("moves by the similarity that fits its points best", () => {
    const turned = landmarks.map(([x, y]) => [5 - 2 * y, 7 + 2 * x] as const);
    similarity(landmarks, turned).forEach((value, at) => expect(value).toBeCloseTo([0, -2, 5, 2, 0, 7][at]!, 9));
  });

  it("moves with the picture, by its own path", () => {
    const tracker = new Tracker();
    tracker.follow(frame(0, 0));
    tracker.see([face()], []);
    for (let step = 1; step <= 5; step++) tracker.follow(frame(3 * step, 2 * step));
    const [track] = tracker.tracks;
    expect(track!.lost).toBe(false);
    track!.measured.forEach(([x, y], at) => {
      expect(x).toBeCloseTo(landmarks[at]![0] + 15, 0);
      expect(y).toBeCloseTo(landmarks[at]![1] + 10, 0);
    });
    expect(tracker.due).toBe(false);
  });

  it("is met where it is now by what the finder saw before, and keeps its number", () => {
    const tracker = new Tracker();
    tracker.follow(frame(0, 0));
    tracker.see([face()], []);
    const before = tracker.tracks, number = before[0]!.number;
    for (let step = 1; step <= 4; step++) tracker.follow(frame(4 * step, 0));
    tracker.see([face()], before);
    expect(tracker.tracks[0]!.number).toBe(number);
    expect(tracker.tracks[0]!.measured[0]![0]).toBeCloseTo(landmarks[0]![0] + 16, 0);
    for (const left of [1, 0]) {
      tracker.see([], tracker.tracks);
      expect(tracker.tracks).toHaveLength(left);
    }
  });

  it("is lost where nothing of it is seen any more, and found again", () => {
    const tracker = new Tracker(), blank = bytes(240, 320, 3);
    tracker.follow(frame(0, 0));
    tracker.see([face()], []);
    tracker.follow(blank);
    expect(tracker.tracks[0]!.lost).toBe(true);
    expect(tracker.due).toBe(true);
    tracker.see([face(10, 0)], tracker.tracks);
    expect(tracker.tracks[0]!.lost).toBe(false);
    expect(tracker.tracks[0]!.measured[0]![0]).toBeCloseTo(landmarks[0]![0] + 10, 6);
  });
});

describe("what is drawn on faces", () => {
  /** A cover over everything below the nose, and red drawn there. */
  const networks = (swift: LiveNetworks["swift"], camera = swift): LiveNetworks => ({
    finder: () => Promise.reject(new Error("not asked")), second_look: () => Promise.reject(new Error("not asked")), swift, camera,
    cover: ({ worn }) => {
      const side = worn!.shape[3]!, row = (at: number): number => Math.floor(at % side ** 2 / side) / side;
      return Promise.resolve({ shape: [1, 3, side, side], data: new Float32Array(3 * side ** 2).map((_, at) =>
        Number(at < side ** 2 && row(at) >= 0.47 && row(at) < 0.72)) });
    },
  });
  const red: LiveNetworks["swift"] = ({ mask }) => {
    const size = mask!.data.length, data = new Float32Array(3 * size).fill(-1);
    return Promise.resolve({ shape: [], data: data.fill(1, 0, size) });
  };

  async function begun(swift: LiveNetworks["swift"]): Promise<Stream> {
    const stream = new Stream(networks(swift));
    stream["late"] = 99;
    stream["tracker"].follow(frame(0, 0));
    stream["tracker"].see([face()], []);
    stream["rounds"] = 1; // no look now
    const seen = frame(0, 0), { pixels, faces, completed } = await stream.show(seen);
    expect([pixels === seen, faces, completed]).toEqual([true, 1, 0]);
    await stream["working"];
    return stream;
  }

  it("comes with the next frame, moves with the face, and leaves the rest alone", async () => {
    const stream = await begun(red), boxes = [];
    for (const seen of [frame(0, 0), frame(4, 3)]) {
      const { pixels, box, faces, completed } = await stream.show(seen), middle = Math.floor((box[1] + box[3]) / 2) * 320 + Math.floor((box[0] + box[2]) / 2);
      expect([faces, completed]).toEqual([1, 1]);
      expect(pixels.data[3 * middle]).toBeGreaterThan(pixels.data[3 * middle + 1]! + 30);
      const outside = pixels.data.findIndex((value, at) => {
        const x = Math.floor(at / 3) % 320, y = Math.floor(at / 960);
        return value !== seen.data[at] && (x < box[0] || x >= box[2] || y < box[1] || y >= box[3]);
      });
      expect(outside).toBe(-1);
      boxes.push(box);
    }
    expect(boxes[1]![0]).toBeGreaterThan(boxes[0]![0]);
    expect(boxes[1]![1]).toBeGreaterThan(boxes[0]![1]);
    expect(boxes[0]![3] - boxes[0]![1]).toBeLessThan(120);
  });

  it("is drawn by what draws once where swift is too slow, and then in every frame", async () => {
    const asked: string[] = [], slow: LiveNetworks["swift"] = async (inputs) => {
      asked.push("swift");
      await new Promise((resolve) => { setTimeout(resolve, 100); });
      return await red(inputs);
    };
    const quick: LiveNetworks["swift"] = async (inputs) => {
      asked.push("camera");
      return await red(inputs);
    };
    const stream = new Stream(networks(slow, quick));
    stream["tracker"].follow(frame(0, 0));
    stream["tracker"].see([face()], []);
    const show = async (times: number): Promise<void> => {
      for (let time = 0; time < times; time++) {
        stream["rounds"] = 1; // no look now
        await stream.show(frame(0, 0));
      }
    };
    await show(4);
    expect(asked).toEqual(["swift", "swift", "swift", "camera"]);
  });

  it("fades frame after frame where it is no longer covered, and comes softly where it newly is", async () => {
    const stream = await begun(red), hole = stream["patches"].get(0)!.hole, without = { ...hole, data: hole.data.map(() => 0) };
    stream["working"] = new Promise(() => undefined); // the networks are not asked
    stream["late"] = 99;
    const reds = async (frames: number): Promise<{ sizes: number[]; levels: number[] }> => {
      const sizes = [], levels = [], middle = 140 * 320 + 160;
      for (let count = 0; count < frames; count++) {
        const { box, pixels } = await stream.show(frame(0, 0));
        sizes.push(box[3] - box[1]);
        levels.push(pixels.data[3 * middle]!);
      }
      return { sizes, levels };
    };
    const [before] = (await reds(1)).levels;
    expect(before).toBeGreaterThan(220);
    stream["patches"].set(0, { ...stream["patches"].get(0)!, hole: without, sudden: false });
    const { sizes, levels } = await reds(10);
    expect([sizes.at(-1), levels.at(-1)]).toEqual([0, frame(0, 0).data[3 * (140 * 320 + 160)]]);
    const steps = (of: number[]): number[] => of.slice(1).map((value, at) => Math.abs(value - of[at]!));
    expect(Math.max(...steps([before!, ...levels]))).toBeLessThan(0.5 * Math.abs(before! - levels.at(-1)!));
    expect(new Set(levels).size).toBeGreaterThanOrEqual(6);
    stream["patches"].set(0, { ...stream["patches"].get(0)!, hole, sudden: false });
    const back = (await reds(3)).levels;
    expect(back.at(-1)).toBe(before);
    expect(new Set(back).size).toBe(3);
  });

  it("stays where the network loses a cover that looks as before, and goes where it was taken off", async () => {
    const stream = await begun(red), holes: number[] = [];
    const size = (): number => stream["patches"].get(0)!.hole.data.reduce((sum, value) => sum + value);
    const draw = async (seen: Bytes): Promise<void> => {
      stream["rounds"] = 1; // no look now
      await stream.show(seen);
      await stream["working"];
      holes.push(size());
    };
    const bare = frame(0, 0), taken = { ...bare, data: bare.data.map((value, at) => Math.floor(at / 960) > 100 ? 255 - value : value) };
    stream["networks"].cover = () => Promise.resolve({ shape: [1, 3, 320, 320], data: new Float32Array(3 * 320 * 320) });
    const whole = size();
    await draw(bare);
    await draw(taken);
    expect(holes).toEqual([whole, 0]);
  });

  it("is drawn in every frame, and on that frame, where the networks are fast", async () => {
    let drawn = 0;
    const stream = await begun((inputs) => {
      drawn++;
      return red(inputs);
    });
    stream["networks"].finder = () => Promise.reject(new Error("not asked"));
    for (const tookMs of [10, 20, 30]) {
      stream["late"] = 0;
      stream["rounds"] = 1;
      const { completed } = await stream.show(frame(tookMs / 10, 0));
      expect([completed, drawn, stream["working"]]).toEqual([1, 1 + tookMs / 10, null]);
    }
  });

  it("raises what the networks raise", async () => {
    const stream = await begun(() => Promise.reject(new Error("out of memory")));
    await expect(stream.show(frame(0, 0))).rejects.toThrow("out of memory");
  });

  it("is drawn in the whole aligned face, of which the network knows where its features are", async () => {
    const shapes: (readonly number[])[] = [];
    await begun((inputs) => {
      shapes.push(inputs["image"]!.shape);
      return red(inputs);
    });
    expect(shapes).toEqual([[1, 3, 256, 256]]);
  });
});
