/** Draws what plans ask for, as `facefill.runtime.draw`: fine parts first, then crop after crop into the photo. */

import { any, bytes, copyMissing, copyOf, cut, mapBytes, or, paste, rint, widthOf, type Box, type Bytes, type Mask, type Point } from "./arrays";
import { biharmonic } from "./biharmonic";
import { composite } from "./blend";
import { putAll } from "./crop";
import { matchGrain, restoreContrast } from "./detail";
import { distance, gauss, telea } from "./opencv";
import { fromNetwork, plane, toNetwork, type Inputs, type Network } from "./network";
import { SIDE_PX, type Plan, type Task } from "./plan";
import { Random } from "./random";

/** Seeds of a crop's samples lie far apart. */
const SAMPLES_APART = 0x9e3779b1;
const SOFT_PX = 6;

/** The completed photo. sample: 0 is the best one. step: is told of each crop that is done, and waited for. */
export async function draw(plan: Plan, swift: Network, seed: number, sample: number, step: () => Promise<void>): Promise<Bytes> {
  const photo = any(plan.fine) ? interpolated(plan) : copyOf(plan.photo);
  const hidden = mapBytes(plan.hidden, (value, at) => value && !plan.fine.data[at]);
  for (const stage of [1, 2] as const) {
    const groups = groupsOf(plan.tasks, stage);
    // What is filled softly begins in what a face's crop drew.
    for (const { box, missing } of groups.flat().map((index) => plan.tasks[index]!)) paste(hidden, or(cut(hidden, box), missing), box[0], box[1]);
    for (const group of groups) {
      const tasks = group.map((index) => plan.tasks[index]!), patches: Bytes[] = [];
      for (const index of group) {
        patches.push(await complete(plan.tasks[index]!, photo, hidden, swift, seed + index, sample));
        await step();
      }
      put(photo, hidden, tasks, patches, seed);
    }
    for (const { box, missing } of groups.flat().map((index) => plan.tasks[index]!)) {
      paste(hidden, mapBytes(cut(hidden, box), (value, at) => value && !missing.data[at]), box[0], box[1]);
    }
  }
  return photo;
}

function interpolated(plan: Plan): Bytes {
  const rest = mapBytes(plan.hidden, (value, at) => value && !plan.fine.data[at]);
  return biharmonic(plan.photo, plan.fine, any(rest) ? rest : null);
}

/** A task's crop, completed by the network and blended. */
async function complete(task: Task, photo: Bytes, hidden: Mask, swift: Network, seed: number, sample: number): Promise<Bytes> {
  const { crop, landmarks } = task, known = crop.takeKnown(photo, hidden), missing = missingIn(task, hidden);
  return task.softly ? fillSoftly(known, missing) : await fill(known, missing, landmarks, noise(seed, sample), swift);
}

/** An aligned face, or a part of one, completed by the network and blended. quickly: as `composite` may. */
export async function fill(
  face: Bytes, mask: Mask, landmarks: readonly Point[] | null, noise: Float32Array, swift: Network, quickly = false,
): Promise<Bytes> {
  const { height, width } = face, inputs: Inputs = {
    image: toNetwork(face, mask), mask: plane(mask), noise: { shape: [1, 1, height, width], data: noise },
    landmarks: { shape: [1, 5, 2], data: Float32Array.from(landmarks?.flat() ?? Array<number>(10).fill(NaN)) },
  };
  return composite(face, fromNetwork((await swift(inputs)).data, height, width), mask, quickly);
}

/** Of a neck that nobody saw there is a colour to tell, no detail: Telea's filling, blurred further inside. */
function fillSoftly(picture: Bytes, missing: Mask): Bytes {
  const filled = telea(picture, missing), blurred = gauss(filled, SOFT_PX, false), depth = distance(missing, 5), { channels } = picture;
  return mapBytes(filled, (value, at) => {
    const inner = Math.fround(Math.min(Math.fround(depth.data[Math.floor(at / channels)]! / Math.fround(2 * SOFT_PX)), 1));
    return rint(Math.fround(value + Math.fround(inner * (blurred.data[at]! - value))));
  });
}

const missingIn = ({ crop }: Task, hidden: Mask): Mask => or(crop.takeMask(hidden), crop.outside(hidden.height, hidden.width));

function noise(seed: number, sample: number): Float32Array {
  const drawn = new Float32Array(SIDE_PX * SIDE_PX);
  if (!sample) return drawn;
  const random = new Random((seed + sample * SAMPLES_APART) % 2 ** 32);
  return drawn.map(() => random.normal());
}

/** Put crops into the photo: on enlarged faces with the contrast and grain they lack. */
function put(photo: Bytes, hidden: Mask, tasks: readonly Task[], patches: readonly Bytes[], seed: number): void {
  const window = around(tasks.map((task) => task.box), photo), known = cut(photo, window);
  const crops = tasks.map((task) => task.crop.cutAt(window[0], window[1])), parts = tasks.map((task) => {
    const part = bytes(known.height, known.width);
    paste(part, task.missing, task.box[0] - window[0], task.box[1] - window[1]);
    return part;
  });
  const shown = tasks.map((task, index) => task.crop.scale > 1
    ? restoreContrast(patches[index]!, missingIn(task, hidden), task.crop.scale) : patches[index]!);
  let completed = putAll(known, crops, shown, parts);
  const missing = parts.reduce(or), scale = Math.max(...crops.map((crop) => crop.scale));
  if (scale > 1) completed = matchGrain(known, completed, missing, new Random(seed), scale);
  tasks.forEach((task, index) => { if (task.softly) completed = mixed(known, completed, parts[index]!, task, window); });
  copyMissing(completed, missing, known);
  paste(photo, known, window[0], window[1]);
}

/** A part of a picture as far as a task's drawing shows in it, the rest as it is. */
function mixed(known: Bytes, completed: Bytes, part: Mask, { box, softly }: Task, window: Box): Bytes {
  const width = widthOf(box), { channels } = known;
  return mapBytes(completed, (value, at) => {
    const pixel = Math.floor(at / channels);
    if (!part.data[pixel]) return value;
    const x = pixel % known.width + window[0] - box[0], y = Math.floor(pixel / known.width) + window[1] - box[1];
    return rint(Math.fround(known.data[at]! + Math.fround(softly!.data[y * width + x]! * (value - known.data[at]!))));
  });
}

/** Tasks of a stage whose boxes touch are put together. */
function groupsOf(tasks: readonly Task[], stage: number): number[][] {
  let groups: number[][] = [];
  tasks.forEach((task, index) => {
    if (task.stage !== stage) return;
    const near = groups.filter((group) => group.some((other) => touch(task.box, tasks[other]!.box)));
    groups = [...groups.filter((group) => !near.includes(group)), [index, ...near.flat()].sort((one, other) => one - other)];
  });
  return groups;
}

const touch = (one: Box, other: Box): boolean =>
  one[0] <= other[2] && other[0] <= one[2] && one[1] <= other[3] && other[1] <= one[3];

/** The window that holds all, with a quarter of its size as a margin, cut to the photo. */
function around(boxes: readonly Box[], photo: Bytes): Box {
  const span = (axis: 0 | 1, limit: number): [number, number] => {
    const low = Math.min(...boxes.map((box) => box[axis])), high = Math.max(...boxes.map((box) => box[axis + 2]!));
    const margin = Math.max(16, Math.floor((high - low) / 4));
    return [Math.max(0, low - margin), Math.min(limit, high + margin)];
  };
  const [x0, x1] = span(0, photo.width), [y0, y1] = span(1, photo.height);
  return [x0, y0, x1, y1];
}
