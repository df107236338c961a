/** Completed pixels beside known ones, without a seam, as `facefill.imaging.blend` with `fade`. */

import {
  any, boundingBox, chosen, clamp, copyMissing, copyOf, cut, floats, heightOf, level, paste, quantile, widthOf, type Box, type Bytes,
  type Floats, type Mask,
} from "./arrays";
import { harmonic } from "./harmonic";
import { dilate, distance, resize } from "./opencv";

const REACH_PX = 16, TRUSTED = 8, LIMIT = 3, SMALL_PX = 128 * 128;

/** The image's known pixels, and in the hole `filled`, corrected towards the border. quickly: the correction, which is
 * smooth, is found at half the size. */
export function composite(image: Bytes, filled: Bytes, mask: Mask, quickly = false): Bytes {
  const completed = copyOf(image);
  for (const box of windows(mask, 1)) {
    const known = cut(image, box), missing = cut(mask, box), patch = corrected(known, cut(filled, box), missing, quickly);
    copyMissing(patch, missing, known);
    paste(completed, known, box[0], box[1]);
  }
  return completed;
}

function corrected(image: Bytes, filled: Bytes, mask: Mask, quickly: boolean): Bytes {
  const added = quickly ? enlarged(image, filled, mask) : membrane(image, filled, mask), deep = distance(mask, 5), made = copyOf(filled);
  for (let at = 0; at < mask.data.length; at++) {
    const fade = Math.exp(-((deep.data[at]! / REACH_PX) ** 2));
    for (let channel = 0; channel < 3; channel++) {
      made.data[3 * at + channel] = level(filled.data[3 * at + channel]! + Math.fround(added[channel]!.data[at]! * fade));
    }
  }
  return made;
}

/** The same as `membrane` of pictures of half the size. */
function enlarged(image: Bytes, filled: Bytes, mask: Mask): Floats[] {
  const { height, width } = mask, half = (picture: Bytes): Bytes => resize(picture, Math.ceil(width / 2), Math.ceil(height / 2), "area");
  const share = half({ ...mask, data: mask.data.map((value) => 255 * value) });
  const planes = membrane(half(image), half(filled), { ...share, data: share.data.map((value) => Number(value > 0)) });
  return planes.map((plane) => resize(plane, width, height, "linear"));
}

/** What blending adds to `filled`: harmonic in the hole, the clamped differences beside it. */
function membrane(image: Bytes, filled: Bytes, mask: Mask): Floats[] {
  const grown = dilate(mask, "cross", 1), beside = { ...grown, data: grown.data.map((value, at) => value & (1 - mask.data[at]!)) };
  const planes = [0, 1, 2].map((channel) => {
    const plane = floats(mask.height, mask.width);
    for (let at = 0; at < plane.data.length; at++) {
      if (beside.data[at]) plane.data[at] = image.data[3 * at + channel]! - filled.data[3 * at + channel]!;
    }
    return plane;
  });
  if (any(beside)) {
    for (const plane of planes) {
      const values = chosen(plane, beside), middle = quantile(values.slice(), 0.5);
      const reach = Math.max(TRUSTED, LIMIT * 1.4826 * quantile(values.map((value) => Math.abs(value - middle)), 0.5));
      for (let at = 0; at < plane.data.length; at++) {
        if (beside.data[at]) plane.data[at] = clamp(plane.data[at]!, middle - reach, middle + reach);
      }
    }
  }
  return harmonic(planes, mask, 4); // what is worst solved lies deepest, where it has faded
}

/** Boxes that hold every missing pixel once, with that margin; a large one is cut where whole rows or columns miss
 * nothing. */
export function windows(mask: Mask, margin: number): Box[] {
  const found: Box[] = [], pending: Box[] = [[0, 0, mask.width, mask.height]];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const inner = boundingBox(cut(mask, next));
    if (!inner[2]) continue;
    const [x0, y0, x1, y1] = [inner[0] + next[0], inner[1] + next[1], inner[2] + next[0], inner[3] + next[1]];
    let across: [number, number] = [0, 0], down: [number, number] = [0, 0];
    if (widthOf(inner) * heightOf(inner) > SMALL_PX) [across, down] = widestGaps(cut(mask, [x0, y0, x1, y1]));
    if (Math.max(across[1] - across[0], down[1] - down[0]) <= Math.max(2 * margin, 16)) {
      found.push([Math.max(x0 - margin, 0), Math.max(y0 - margin, 0), Math.min(x1 + margin, mask.width), Math.min(y1 + margin, mask.height)]);
    } else if (across[1] - across[0] >= down[1] - down[0]) {
      pending.push([x0, y0, x0 + across[0], y1], [x0 + across[1], y0, x1, y1]);
    } else {
      pending.push([x0, y0, x1, y0 + down[0]], [x0, y0 + down[1], x1, y1]);
    }
  }
  return found;
}

/** The longest runs of columns, and of rows, without a missing pixel between two with. */
function widestGaps(mask: Mask): [[number, number], [number, number]] {
  const columns = new Uint8Array(mask.width), rows = new Uint8Array(mask.height);
  mask.data.forEach((value, at) => {
    if (!value) return;
    columns[at % mask.width] = 1;
    rows[Math.floor(at / mask.width)] = 1;
  });
  return [widestGap(columns), widestGap(rows)];
}

function widestGap(used: Uint8Array): [number, number] {
  let widest: [number, number] = [0, 0], last = -1, longest = 0;
  used.forEach((value, at) => {
    if (!value) return;
    if (last >= 0 && at - last > longest) [longest, widest] = [at - last, [last + 1, at]];
    last = at;
  });
  return widest;
}
