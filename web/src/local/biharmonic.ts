/** Biharmonic interpolation into thin holes, as `facefill.imaging.biharmonic`: the sum of squared Laplacians is least. */

import {
  all, any, boundingBox, clamp, copyMissing, copyOf, count, cut, level, mapBytes, mapFloats, paste, rint, type Box, type Bytes, type Mask,
} from "./arrays";
import { dilate, distance, extend, resize } from "./opencv";

const MOST_FREE = 4000, MOST_SIDE_PX = 512, MARGIN_PX = 16, DEEP_PX = 12, MOST_DEEP = 20000;

/** absent: pixels that are neither filled nor looked at, as if the picture ended there. */
export function biharmonic(image: Bytes, mask: Mask, absent: Mask | null): Bytes {
  const filled = copyOf(image), box = boundingBox(mask, 2 * MARGIN_PX), hole = cut(mask, box);
  if (!any(hole) || all(hole)) return filled;
  const view = cut(image, box), depth = distance(hole, 3), there = absent && mapBytes(cut(absent, box), (value) => !value);
  let free = hole, whole = depth.data.some((value) => value > DEEP_PX);
  if (whole && count(hole) > MOST_DEEP) {
    const deep = mapBytes(depth, (value) => value > DEEP_PX);
    whole = false;
    copyMissing(coarse(view, hole), deep, view);
    free = mapBytes(hole, (value, at) => value && !deep.data[at]);
  }
  const start = copyOf(view);
  for (const core of whole ? [boundingBox(free)] : piecesOf(free)) {
    const around: Box = [Math.max(core[0] - MARGIN_PX, 0), Math.max(core[1] - MARGIN_PX, 0),
      Math.min(core[2] + MARGIN_PX, free.width), Math.min(core[3] + MARGIN_PX, free.height)];
    const solved = solve(cut(start, around), cut(free, around), there && cut(there, around));
    const inner: Box = [core[0] - around[0], core[1] - around[1], core[2] - around[0], core[3] - around[1]], part = cut(view, core);
    copyMissing(cut(solved, inner), cut(free, core), part);
    paste(view, part, core[0], core[1]);
  }
  paste(filled, view, box[0], box[1]);
  return filled;
}

/** The solution on half the grid, enlarged. */
function coarse(image: Bytes, mask: Mask): Bytes {
  const below = mask.height % 2, beside = mask.width % 2, padded = extend(image, below, beside);
  const known = extend(mapBytes(mask, (value) => !value), below, beside), high = padded.height / 2, wide = padded.width / 2;
  const share = resize(mapFloats(known, Number), wide, high, "area");
  const shown = resize(mapFloats(padded, (value, at) => value * known.data[Math.floor(at / 3)]!), wide, high, "area");
  const small = mapBytes(shown, (value, at) => level(value / Math.max(share.data[Math.floor(at / 3)]!, 0.25)));
  const solved = biharmonic(small, mapBytes(share, (value) => value === 0), null);
  return cut(resize(solved, 2 * wide, 2 * high, "cubic"), [0, 0, mask.width, mask.height]);
}

/** Boxes that hold every free pixel once, none with too many of them or too wide. */
function piecesOf(free: Mask): Box[] {
  const found: Box[] = [], pending: Box[] = [[0, 0, free.width, free.height]];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const part = cut(free, next), inner = boundingBox(part);
    if (!inner[2]) continue;
    const [x0, y0, x1, y1] = [inner[0] + next[0], inner[1] + next[1], inner[2] + next[0], inner[3] + next[1]], wide = x1 - x0, high = y1 - y0;
    if (Math.max(wide, high) <= MOST_SIDE_PX && count(part) <= MOST_FREE) found.push([x0, y0, x1, y1]);
    else if (wide >= high) pending.push([x0, y0, x0 + (wide >> 1), y1], [x0 + (wide >> 1), y0, x1, y1]);
    else pending.push([x0, y0, x1, y0 + (high >> 1)], [x0, y0 + (high >> 1), x1, y1]);
  }
  return found;
}

/** All free pixels of a piece at once; where none is known, black. there: the pixels that count, null for all. */
function solve(image: Bytes, free: Mask, there: Mask | null): Bytes {
  const { width, height } = free, counts = mapBytes(free, (value, at) => value || !there || there.data[at]!);
  const along = width <= height, order: number[] = [], number = new Int32Array(free.data.length).fill(-1);
  // Numbered along the shorter side, so that neighbours are near each other in the system.
  for (let outer = 0; outer < (along ? height : width); outer++) {
    for (let inner = 0; inner < (along ? width : height); inner++) {
      const at = along ? outer * width + inner : inner * width + outer;
      if (free.data[at]) number[at] = order.push(at) - 1;
    }
  }
  const system = new Banded(order.length, 3), near = dilate(free, "cross", 1);
  const lowest = [255, 255, 255], highest = [0, 0, 0];
  let seen = false;
  for (let at = 0; at < free.data.length; at++) {
    if (counts.data[at] && !free.data[at]) {
      seen = true;
      for (let channel = 0; channel < 3; channel++) {
        lowest[channel] = Math.min(lowest[channel]!, image.data[3 * at + channel]!);
        highest[channel] = Math.max(highest[channel]!, image.data[3 * at + channel]!);
      }
    }
    if (near.data[at] && counts.data[at]) system.add(row(image, number, counts, at));
  }
  const surface = system.solve(), solved = copyOf(image);
  order.forEach((at, index) => {
    for (let channel = 0; channel < 3; channel++) {
      const value = rint(surface[channel]![index]!);
      solved.data[3 * at + channel] = seen ? clamp(value, lowest[channel]!, highest[channel]!) : 0;
    }
  });
  return solved;
}

/** A pixel's Laplacian: numbers and weights of the free pixels in it, and what the known ones leave on the right. */
interface Row { numbers: number[]; weights: number[]; right: number[] }

function row(image: Bytes, number: Int32Array, counts: Mask, at: number): Row {
  const { width, height } = counts, x = at % width, beside: number[] = [];
  if (x < width - 1 && counts.data[at + 1]) beside.push(at + 1);
  if (x && counts.data[at - 1]) beside.push(at - 1);
  if (at < (height - 1) * width && counts.data[at + width]) beside.push(at + width);
  if (at >= width && counts.data[at - width]) beside.push(at - width);
  const found: Row = { numbers: [], weights: [], right: [0, 0, 0] };
  for (const place of [...beside, at]) {
    const weight = place === at ? -beside.length : 1;
    if (number[place]! >= 0) {
      found.numbers.push(number[place]!);
      found.weights.push(weight);
    } else {
      for (let channel = 0; channel < 3; channel++) found.right[channel]! -= weight * image.data[3 * place + channel]!;
    }
  }
  return found;
}

/** Normal equations of rows that couple few unknowns, each row of the lower triangle from its first entry on. */
class Banded {
  private readonly rows: Row[] = [];

  constructor(private readonly size: number, private readonly sides: number) {}

  add(one: Row): void { this.rows.push(one); }

  /** By Cholesky factors (Golub & Van Loan 2013, section 4.3.5); one solution for each right-hand side. */
  solve(): Float64Array[] {
    const { size } = this, first = Int32Array.from({ length: size }, (_, at) => at);
    for (const { numbers } of this.rows) {
      const low = Math.min(...numbers);
      for (const number of numbers) first[number] = Math.min(first[number]!, low);
    }
    const lower = Array.from({ length: size }, (_, at) => new Float64Array(at - first[at]! + 1));
    const wanted = Array.from({ length: this.sides }, () => new Float64Array(size));
    for (const { numbers, weights, right } of this.rows) {
      numbers.forEach((number, one) => {
        numbers.forEach((other, two) => {
          if (other <= number) lower[number]![other - first[number]!]! += weights[one]! * weights[two]!;
        });
        wanted.forEach((values, side) => { values[number]! += weights[one]! * right[side]!; });
      });
    }
    for (let at = 0; at < size; at++) {
      const mine = lower[at]!;
      mine[mine.length - 1]! += 1e-9; // keeps a piece without known pixels solvable
      factorRow(lower, first, at);
      for (const values of wanted) {
        let sum = values[at]!;
        for (let other = first[at]!; other < at; other++) sum -= mine[other - first[at]!]! * values[other]!;
        values[at] = sum / mine[mine.length - 1]!;
      }
    }
    for (let at = size - 1; at >= 0; at--) {
      const mine = lower[at]!;
      for (const values of wanted) {
        const value = values[at]! /= mine[mine.length - 1]!;
        for (let other = first[at]!; other < at; other++) values[other]! -= mine[other - first[at]!]! * value;
      }
    }
    return wanted;
  }
}

function factorRow(lower: Float64Array[], first: Int32Array, at: number): void {
  const mine = lower[at]!, start = first[at]!;
  for (let other = start; other <= at; other++) {
    const theirs = lower[other]!, from = Math.max(start, first[other]!);
    let sum = mine[other - start]!;
    for (let k = from; k < other; k++) sum -= mine[k - start]! * theirs[k - first[other]!]!;
    mine[other - start] = other === at ? Math.sqrt(sum) : sum / theirs[other - first[other]!]!;
  }
}
