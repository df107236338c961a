/** Between a photo and an aligned square, as `facefill.imaging.crop` does it. */

import {
  all, any, boundingBox, bytes, clamp, copyOf, cut, floats, paste, rint, type Box, type Bytes, type Floats, type Mask, type Point,
} from "./arrays";
import { blur, extend, nearest, resize, warp, type Matrix } from "./opencv";

const SHARP_UP_TO = 1.25, LINEAR_UP_TO = 2.6, ENLARGES_BELOW = 0.5, FADE = 1 / 16, SOFT_PX = 5;

export const apply = (m: Matrix, [x, y]: Point): Point => [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]];

/** The square of `size` pixels; the similarity `matrix` maps them into the photo. */
export class Crop {
  constructor(readonly size: number, readonly matrix: Matrix) {}

  /** FFHQ's alignment (Karras, Laine & Aila 2019). landmarks: two eyes, nose, two corners of the mouth; null where eyes
   * and mouth fall together. */
  static aroundFace(landmarks: readonly Point[], size: number): Crop | null {
    const [left, right, , ...mouth] = landmarks as [Point, Point, Point, Point, Point];
    const eyes = [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2] as const;
    const across = [right[0] - left[0], right[1] - left[1]] as const;
    const down = [(mouth[0][0] + mouth[1][0]) / 2 - eyes[0], (mouth[0][1] + mouth[1][1]) / 2 - eyes[1]] as const;
    const axis = [across[0] + down[1], across[1] - down[0]] as const, length = Math.hypot(...axis);
    const half = Math.max(2 * Math.hypot(...across), 1.8 * Math.hypot(...down));
    if (!(length > 0 && Number.isFinite(half))) return null;
    const [cos, sin] = [axis[0] / length * (2 * half / size), axis[1] / length * (2 * half / size)];
    const middle = [eyes[0] + 0.1 * down[0], eyes[1] + 0.1 * down[1]] as const, corner = 0.5 - size / 2;
    return new Crop(size, [
      cos, -sin, middle[0] + (cos - sin) * corner - 0.5, sin, cos, middle[1] + (sin + cos) * corner - 0.5,
    ]);
  }

  /** Photo pixels per crop pixel. */
  get scale(): number { return Math.hypot(this.matrix[0], this.matrix[3]); }

  toPhoto(point: Point): Point { return apply(this.matrix, point); }

  toCrop(point: Point): Point { return apply(this.inverseFrom(0, 0), point); }

  /** The crop for a photo that was cut at (x0, y0). */
  cutAt(x0: number, y0: number): Crop {
    const m = this.matrix;
    return new Crop(this.size, [m[0], m[1], m[2] - x0, m[3], m[4], m[5] - y0]);
  }

  /** Which pixels have their centre outside a photo of that size. */
  outside(height: number, width: number): Mask {
    const { size, matrix: m } = this, made = bytes(size, size);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const x = m[0] * column + m[1] * row + m[2], y = m[3] * column + m[4] * row + m[5];
        if (x < -0.5 || x > width - 0.5 || y < -0.5 || y > height - 0.5) made.data[row * size + column] = 1;
      }
    }
    return made;
  }

  /** The crop of a photo, antialiased, mirrored where it leaves it. */
  take(photo: Bytes): Bytes {
    const [region, matrix] = regionOf(photo, this.matrix, this.size);
    return resample(region, matrix, this.size, this.size, true);
  }

  /** The crop without what is hidden: each hidden pixel first takes the colour of the nearest known one. */
  takeKnown(photo: Bytes, hidden: Mask): Bytes {
    const [region, matrix] = regionOf(photo, this.matrix, this.size);
    return resample(extended(region, regionOf(hidden, this.matrix, this.size)[0]), matrix, this.size, this.size, true);
  }

  /** Which share of the crop's area is missing by a photo's mask. */
  share(mask: Mask): number {
    const [region, matrix] = regionOf(mask, this.matrix, this.size);
    const levels = resample(times255(region), matrix, this.size, this.size), outside = this.outside(mask.height, mask.width);
    let sum = 0;
    for (let at = 0; at < levels.data.length; at++) if (!outside.data[at]) sum += levels.data[at]!;
    return sum / 255 / this.size ** 2;
  }

  /** The crop of a mask: what shows any of a missing pixel is missing. */
  takeMask(mask: Mask): Mask {
    const [raw, matrix] = regionOf(mask, this.matrix, this.size), region = times255(raw);
    let shown: Bytes;
    if (shrinkage(matrix) > SHARP_UP_TO) {
      const [blocks, finer] = inBlocks(region, matrix, anyPool);
      shown = anyPool(warp(blocks, finer, 2 * this.size, 2 * this.size, "linear"), 2);
    } else {
      shown = warp(region, matrix, this.size, this.size, "linear");
    }
    return { ...shown, data: shown.data.map((value) => Number(value > 12)) };
  }

  /** A copy of the photo whose missing pixels, where they lie in the crop, show the patch. */
  put(photo: Bytes, patch: Bytes, mask: Mask): Bytes {
    const completed = copyOf(photo), [x0, y0, x1, y1] = this.reach(mask);
    if (x1 <= x0 || y1 <= y0) return completed;
    const sampled = resample(patch, this.inverseFrom(x0, y0), x1 - x0, y1 - y0), inside = this.covers([x0, y0, x1, y1]);
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const here = (y - y0) * (x1 - x0) + x - x0, there = y * photo.width + x;
        if (!mask.data[there] || !inside.data[here]) continue;
        for (let channel = 0; channel < 3; channel++) completed.data[3 * there + channel] = sampled.data[3 * here + channel]!;
      }
    }
    return completed;
  }

  /** Lay so much of a patch over a frame, with soft edges. Returns the box that has changed. */
  lay(frame: Bytes, patch: Bytes, share: Floats): Box {
    const within = boundingBox({ ...share, data: Uint8Array.from(share.data, (value) => Number(value > 0)) }, SOFT_PX);
    const box = this.bounds(frame.height, frame.width, within), [x0, y0, x1, y1] = box;
    if (x1 <= x0 || y1 <= y0) return [0, 0, 0, 0];
    const soft = blur({ ...share, data: share.data.map((value) => 255 * value) }, SOFT_PX, false), back = this.inverseFrom(x0, y0);
    const levels = { ...soft, data: Uint8Array.from(soft.data, rint) };
    const wide = x1 - x0, weights = warp(levels, back, wide, y1 - y0, "linear"), sampled = warp(patch, back, wide, y1 - y0, "linear");
    const atEdge = within[0] === 0 || within[1] === 0 || within[2] === this.size || within[3] === this.size;
    const inside = atEdge ? this.covers(box) : null;
    const [from, to, parts] = [sampled.data, frame.data, weights.data];
    for (let at = 0, y = y0; y < y1; y++) {
      for (let there = 3 * (y * frame.width + x0), end = at + wide; at < end; at++, there += 3) {
        const part = parts[at]!;
        if (part === 0 || inside?.data[at] === 0) continue;
        for (let channel = 0; channel < 3; channel++) {
          const level = to[there + channel]!;
          to[there + channel] = (255 * level + part * (from[3 * at + channel]! - level) + 127) / 255 | 0;
        }
      }
    }
    return box;
  }

  /** The crop's mask as one of a photo, its edge interpolated. */
  putMask(mask: Mask, height: number, width: number): Mask {
    const placed = bytes(height, width), box = this.bounds(height, width, boundingBox(mask, 1)), [x0, y0, x1, y1] = box;
    if (x1 <= x0 || y1 <= y0) return placed;
    const sampled = resample(times255(mask), this.inverseFrom(x0, y0), x1 - x0, y1 - y0), inside = this.covers(box);
    paste(placed, { ...sampled, data: sampled.data.map((value, at) => Number(value > 127) & inside.data[at]!) }, x0, y0);
    return placed;
  }

  /** How deep the pixels of a window of the photo lie in the crop, in its pixels; 0 outside. */
  depth(box: Box): Floats {
    const deep = floats(box[3] - box[1], box[2] - box[0]);
    this.places(box, (at, x, y) => {
      deep.data[at] = Math.max(0, Math.min(x + 0.5, this.size - 0.5 - x, y + 0.5, this.size - 0.5 - y));
    });
    return deep;
  }

  /** The matrix from pixels of the photo's window at (x0, y0) to the crop's. */
  private inverseFrom(x0: number, y0: number): Matrix {
    const [a, b, e, c, d, f] = this.matrix, det = a * d - b * c, [ia, ib, ic, id] = [d / det, -b / det, -c / det, a / det];
    return [ia, ib, ia * (x0 - e) + ib * (y0 - f), ic, id, ic * (x0 - e) + id * (y0 - f)];
  }

  /** The photo's pixels that the crop, or a part of it, can touch; empty if x1 <= x0. */
  private bounds(height: number, width: number, [left, top, right, bottom]: Box): Box {
    const corners = ([[left, top], [right, top], [right, bottom], [left, bottom]] as const).map(([x, y]) => this.toPhoto([x - 0.5, y - 0.5]));
    const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
    return [
      Math.max(Math.floor(Math.min(...xs)), 0), Math.max(Math.floor(Math.min(...ys)), 0),
      Math.min(Math.ceil(Math.max(...xs)) + 1, width), Math.min(Math.ceil(Math.max(...ys)) + 1, height),
    ];
  }

  private reach(mask: Mask): Box {
    const box = this.bounds(mask.height, mask.width, [0, 0, this.size, this.size]);
    if (box[2] <= box[0] || box[3] <= box[1]) return [0, 0, 0, 0];
    const [left, top, right, bottom] = boundingBox(cut(mask, box));
    return [box[0] + left, box[1] + top, box[0] + right, box[1] + bottom];
  }

  /** Calls with each pixel of a window of the photo and its place in the crop. */
  private places([x0, y0, x1, y1]: Box, each: (at: number, x: number, y: number) => void): void {
    const m = this.inverseFrom(x0, y0);
    for (let y = 0, at = 0; y < y1 - y0; y++) {
      for (let x = 0; x < x1 - x0; x++, at++) each(at, m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]);
    }
  }

  /** Which pixels of a window of the photo have their centre inside the crop. */
  private covers(box: Box): Mask {
    const inside = bytes(box[3] - box[1], box[2] - box[0]), low = -0.5 - 1e-4, high = this.size - 0.5 + 1e-4;
    this.places(box, (at, x, y) => { inside.data[at] = Number(x >= low && x <= high && y >= low && y <= high); });
    return inside;
  }
}

/** A copy of the photo whose missing pixels show the patches, each in the mask of its own crop; where two masks meet in
 * one hole, their patches fade into each other. */
export function putAll(photo: Bytes, crops: readonly Crop[], patches: readonly Bytes[], masks: readonly Mask[]): Bytes {
  let completed = photo;
  crops.forEach((crop, index) => { completed = crop.put(completed, patches[index]!, masks[index]!); });
  if (!meet(masks)) return completed;
  const reach = Math.max(2, rint(FADE * Math.min(...crops.map((crop) => crop.size * crop.scale))));
  const near = masks.map((mask) => blur({ ...mask, data: Float32Array.from(mask.data) }, 2 * reach + 1, false));
  const shared = bytes(photo.height, photo.width);
  for (let at = 0; at < shared.data.length; at++) {
    shared.data[at] = Number(masks.some(({ data }) => data[at]) && near.filter(({ data }) => data[at]! > 0).length > 1);
  }
  const box = boundingBox(shared), wide = box[2] - box[0];
  const total = floats(box[3] - box[1], wide, 3), weights = floats(box[3] - box[1], wide), before = completed;
  crops.forEach((crop, index) => {
    const part = near[index]!, depth = crop.depth(box);
    const shown = cut(crop.put(before, patches[index]!,
      { ...shared, data: shared.data.map((value, at) => value & Number(part.data[at]! > 0)) }), box);
    for (let at = 0; at < weights.data.length; at++) {
      const there = (Math.floor(at / wide) + box[1]) * photo.width + at % wide + box[0];
      const weight = part.data[there]! * Math.min(depth.data[at]! / (FADE * crop.size), 1);
      for (let channel = 0; channel < 3; channel++) total.data[3 * at + channel]! += weight * shown.data[3 * at + channel]!;
      weights.data[at]! += weight;
    }
  });
  completed = copyOf(completed);
  for (let at = 0; at < weights.data.length; at++) {
    const there = (Math.floor(at / wide) + box[1]) * photo.width + at % wide + box[0];
    if (!shared.data[there] || weights.data[at]! <= 1e-6) continue;
    for (let channel = 0; channel < 3; channel++) {
      completed.data[3 * there + channel] = rint(total.data[3 * at + channel]! / weights.data[at]!);
    }
  }
  return completed;
}

/** Whether a missing pixel lies right beside one of another mask. */
function meet(masks: readonly Mask[]): boolean {
  const { height, width } = masks[0]!, owner = new Int32Array(height * width);
  masks.forEach(({ data }, index) => data.forEach((value, at) => { if (value) owner[at] = index + 1; }));
  return owner.some((mine, at) => {
    const right = at % width + 1 < width ? owner[at + 1]! : 0, below = owner[at + width] ?? 0;
    return mine > 0 && ((right > 0 && right !== mine) || (below > 0 && below !== mine));
  });
}

const times255 = (mask: Mask): Bytes => ({ ...mask, data: mask.data.map((value) => value * 255) });

/** What a crop needs of the photo, mirrored beyond its edges, and the crop's matrix to it. */
function regionOf(photo: Bytes, m: Matrix, size: number): [Bytes, Matrix] {
  const corners = ([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]] as const).map((corner) => apply(m, corner));
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y), reach = 5 * block(m);
  const x0 = Math.floor(Math.min(...xs)) - reach, y0 = Math.floor(Math.min(...ys)) - reach;
  const x1 = Math.ceil(Math.max(...xs)) + reach + 1, y1 = Math.ceil(Math.max(...ys)) + reach + 1;
  return [mirrored(photo, x0, y0, x1, y1), [m[0], m[1], m[2] - x0, m[3], m[4], m[5] - y0]];
}

/** photo[y0:y1, x0:x1], reflected (edge pixels twice) where that leaves the photo. */
function mirrored(photo: Bytes, x0: number, y0: number, x1: number, y1: number): Bytes {
  const rows = reflected(y0, y1, photo.height), columns = reflected(x0, x1, photo.width), { channels } = photo;
  const made = bytes(y1 - y0, x1 - x0, channels);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * photo.width + column) * channels;
      for (let channel = 0; channel < channels; channel++) made.data[at++] = photo.data[from + channel]!;
    }
  }
  return made;
}

/** Places of the photo for start to stop: those inside, mirrored at the ends of what is seen of it. */
function reflected(start: number, stop: number, length: number): Int32Array {
  let low = Math.max(start, 0), seen = Math.min(stop, length) - low;
  if (seen <= 0) [low, seen] = [0, length];
  return Int32Array.from({ length: stop - start }, (_, index) => {
    const place = ((start + index - low) % (2 * seen) + 2 * seen) % (2 * seen);
    return low + Math.min(place, 2 * seen - 1 - place);
  });
}

/** A region whose holes show the nearest known pixel. */
function extended(region: Bytes, holes: Mask): Bytes {
  if (!any(holes)) return region;
  if (all(holes)) return { ...region, data: new Uint8Array(region.data.length).fill(128) };
  const box = boundingBox(holes, 1), filled = copyOf(region), part = cut(region, box), missing = cut(holes, box);
  const found = nearest(part, { ...missing, data: missing.data.map((value) => 1 - value) });
  paste(filled, found, box[0], box[1]); // a known pixel is the nearest one to itself
  return filled;
}

/** Samples of the source; `matrix` maps output pixels to source pixels. shown: to a network. */
function resample(source: Bytes, matrix: Matrix, width: number, height: number, shown = false): Bytes {
  const shrinks = shrinkage(matrix);
  if (shrinks > SHARP_UP_TO) {
    const [blocks, finer] = inBlocks(source, matrix, meanPool);
    return meanPool(warp(blocks, finer, 2 * width, 2 * height, shown && shrinks < LINEAR_UP_TO ? "linear" : "cubic"), 2);
  }
  if (shrinks > ENLARGES_BELOW) return warp(source, matrix, width, height, shown ? "cubic" : "lanczos");
  const [part, m] = used(source, matrix, width, height);
  const enlarged = resize(part, 4 * part.width, 4 * part.height, "lanczos");
  return warp(enlarged, [4 * m[0], 4 * m[1], 4 * m[2] + 1.5, 4 * m[3], 4 * m[4], 4 * m[5] + 1.5], width, height, "linear");
}

/** The part of the source that Lanczos samples look at, and the matrix to it. */
function used(source: Bytes, m: Matrix, width: number, height: number): [Bytes, Matrix] {
  const corners = ([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]] as const).map((corner) => apply(m, corner));
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
  const x0 = Math.max(Math.floor(Math.min(...xs)) - 5, 0), y0 = Math.max(Math.floor(Math.min(...ys)) - 5, 0);
  const x1 = clamp(Math.ceil(Math.max(...xs)) + 6, x0 + 1, source.width), y1 = clamp(Math.ceil(Math.max(...ys)) + 6, y0 + 1, source.height);
  return [cut(source, [x0, y0, x1, y1]), [m[0], m[1], m[2] - x0, m[3], m[4], m[5] - y0]];
}

/** The source pooled in whole blocks, and the matrix to it from pixels half as large as the output's. */
function inBlocks(source: Bytes, m: Matrix, pool: (picture: Bytes, factor: number) => Bytes): [Bytes, Matrix] {
  const factor = block(m), rest = (side: number): number => (factor - side % factor) % factor;
  const whole = rest(source.height) || rest(source.width) ? extend(source, rest(source.height), rest(source.width)) : source;
  const by = 2 * factor, origin = (along: number, across: number, start: number): number =>
    (start - 0.25 * (along + across) + 0.5) / factor - 0.5;
  return [pool(whole, factor),
    [m[0] / by, m[1] / by, origin(m[0], m[1], m[2]), m[3] / by, m[4] / by, origin(m[3], m[4], m[5])]];
}

const shrinkage = (m: Matrix): number => Math.hypot(m[0], m[3]);
const block = (m: Matrix): number => Math.max(rint(shrinkage(m) / 2), 1);

function meanPool(picture: Bytes, factor: number): Bytes {
  if (factor === 1) return picture;
  return resize(picture, Math.floor(picture.width / factor), Math.floor(picture.height / factor), "area");
}

function anyPool(picture: Bytes, factor: number): Bytes {
  if (factor === 1) return picture;
  const height = Math.floor(picture.height / factor), width = Math.floor(picture.width / factor), made = bytes(height, width);
  for (let y = 0; y < height * factor; y++) {
    for (let x = 0; x < width * factor; x++) {
      const at = Math.floor(y / factor) * width + Math.floor(x / factor);
      made.data[at] = Math.max(made.data[at]!, picture.data[y * picture.width + x]!);
    }
  }
  return made;
}
