/** What to complete, and on which grid, as `facefill.runtime.plan` decides it for `swift`. */

import {
  and, any, boundingBox, bytes, clamp, count, cut, heightOf, mapBytes, paste, rint, widthOf, type Box, type Bytes, type Floats, type Mask, type Point,
} from "./arrays";
import { Crop } from "./crop";
import { doubtsOf } from "./doubts";
import type { Face } from "./finder";
import { dilate, distance, pieces } from "./opencv";

const SMALLEST_FACE_PX = 32, FINE_SHARE = 1 / 60, FINE_PX = [4.25, 8] as const, WIDE_AREA_PX = 6, CONTEXT = 2;
const SOFT_EDGE = [1 / 16, 2] as const, MOST_CONTEXTS = 64, NOBODY = -1, KNOWN = -2, REFUSED = -3;
export const LARGEST_SHARE = 0.6, SIDE_PX = 256;

export interface PlannedFace { face: Face; box: Box; missing: Mask; warnings: string[] }

/** What one crop has to complete: `missing` in the photo's `box`. `softly`: how much shows of what no network draws. */
export interface Task { crop: Crop; box: Box; missing: Mask; face: number | null; stage: 1 | 2; landmarks: readonly Point[] | null; softly: Floats | null }

export interface Plan {
  photo: Bytes;
  /** Every pixel that will be completed. */
  mask: Mask;
  /** `mask` and what is left uncompleted. */
  hidden: Mask;
  /** What of `mask` is interpolated at the photo's own size. */
  fine: Mask;
  tasks: Task[];
  faces: PlannedFace[];
  warnings: string[];
}

/** Why nothing could be completed. */
export class Refusal extends Error {
  constructor(readonly expected: string, readonly got: string, readonly fix: string) { super(expected); }
}

/** Share a mask that the user gave among the faces and what is around them. */
export function plan(photo: Bytes, missing: Mask, found: readonly Face[], largeHole: boolean): Plan {
  const faces = found.filter((face) => !tooSmall(face)), window = boundingBox(missing);
  const crops = new Map(faces.flatMap((face, index) => {
    const crop = Crop.aroundFace(face.landmarks, SIDE_PX);
    return crop ? [[index, crop] as const] : [];
  }));
  const owners = ownersOf(cut(missing, window), window, crops), said = faces.map(() => "");
  for (const [index, crop] of crops) {
    const share = owners.includes(index) ? crop.share(missing) : 0;
    if (share <= LARGEST_SHARE || largeHole) continue;
    said[index] = `${placeOf(faces[index]!)}: ${percent(share)} of it is missing, more than ${percent(LARGEST_SHARE)}: left as it is`;
    owners.forEach((owner, at) => { if (owner === index) owners[at] = REFUSED; });
  }
  if (owners.includes(REFUSED)) refuseRims(owners, window);
  if (!owners.some((owner) => owner >= NOBODY)) {
    throw new Refusal("a face that can be completed", said.filter(Boolean).join("; ") || "none",
      "draw a smaller mask, or allow large holes");
  }
  const made = onGrids(photo, missing, owners, window, crops, faces);
  const drawn = new Set(made.tasks.map((task) => task.face));
  faces.forEach((face, index) => {
    const reasons = drawn.has(index) ? doubtsOf(face, photo, missing) : [];
    if (reasons.length) said[index] = `${placeOf(face)} may look wrong: it is ${reasons.join(", ")}`;
  });
  made.faces = faces.map((face, index) => {
    const owned: Mask = { height: heightOf(window), width: widthOf(window), channels: 1, data: Uint8Array.from(owners, (owner) => Number(owner === index)) };
    const [box, part] = any(owned) ? cutOut(owned, window) : [[0, 0, 0, 0] as Box, bytes(0, 0)];
    return { face, box, missing: part, warnings: said[index] ? [said[index]] : [] };
  });
  const small = found.filter((face) => tooSmall(face) && touches(face, missing))
    .map((face) => `${tooSmall(face)}: its hole is completed from its surroundings`);
  return { ...made, warnings: [...small, ...said.filter(Boolean)] };
}

/** The crop that each missing pixel of a window belongs to: of those that contain it that with the nearest centre. */
function ownersOf(missing: Mask, [x0, y0]: Box, crops: ReadonlyMap<number, Crop>): Int32Array {
  const owners = Int32Array.from(missing.data, (value) => value ? NOBODY : KNOWN);
  const best = new Float64Array(owners.length).fill(Infinity);
  for (const [index, crop] of crops) {
    const middle = crop.toPhoto([(crop.size - 1) / 2, (crop.size - 1) / 2]), edge = crop.size - 0.5;
    for (let at = 0; at < owners.length; at++) {
      if (owners[at] === KNOWN) continue;
      const point: Point = [at % missing.width + x0, Math.floor(at / missing.width) + y0], [x, y] = crop.toCrop(point);
      const far = Math.hypot(point[0] - middle[0], point[1] - middle[1]);
      if (x < -0.5 || y < -0.5 || x >= edge || y >= edge || far >= best[at]!) continue;
      best[at] = far;
      owners[at] = index;
    }
  }
  return owners;
}

/** What belongs to no face and hangs together with a refused hole is that hole's rim. */
function refuseRims(owners: Int32Array, window: Box): void {
  const grid = (value: number): Mask => ({ height: heightOf(window), width: widthOf(window), channels: 1,
    data: Uint8Array.from(owners, (owner) => Number(owner === value)) });
  const refused = dilate(grid(REFUSED), "square", 1), { labels } = pieces(grid(NOBODY), 8), rims = new Set<number>();
  refused.data.forEach((value, at) => { if (value && labels[at]) rims.add(labels[at]!); });
  owners.forEach((_, at) => { if (rims.has(labels[at]!)) owners[at] = REFUSED; });
}

function onGrids(
  photo: Bytes, hidden: Mask, owners: Int32Array, window: Box, crops: ReadonlyMap<number, Crop>, faces: readonly Face[],
): Plan {
  const height = heightOf(window), width = widthOf(window), inner = bytes(height, width);
  owners.forEach((owner, at) => { inner.data[at] = Number(owner >= NOBODY); });
  const mask = bytes(hidden.height, hidden.width), fine = bytes(hidden.height, hidden.width);
  paste(mask, inner, window[0], window[1]);
  const wide = widePart(mask, owners, window, crops);
  paste(fine, mapBytes(inner, (value, at) => value && !wide.data[at]), window[0], window[1]);
  const tasks: Task[] = [];
  for (const [index, crop] of crops) {
    const owned = mapBytes(wide, (value, at) => value && owners[at] === index);
    if (!any(owned)) continue;
    const [box, missing] = cutOut(owned, window);
    tasks.push({ crop, box, missing, face: index, stage: 1, landmarks: faces[index]!.landmarks.map((point) => crop.toCrop(point)), softly: null });
  }
  const lonely = mapBytes(wide, (value, at) => value && owners[at] === NOBODY);
  const drawn = mapBytes(wide, (value, at) => value && owners[at]! >= 0);
  const reach = SOFT_EDGE[0] * Math.min(...[...crops.values()].map((crop) => crop.size * crop.scale));
  if (any(lonely)) tasks.push(...contextTasks(lonely, window, drawn, reach));
  return { photo, mask, hidden, fine, tasks, faces: [], warnings: [] };
}

/** What lies about the deep places of a mask, in its window. */
function widePart(mask: Mask, owners: Int32Array, window: Box, crops: ReadonlyMap<number, Crop>): Mask {
  const grown: Box = [Math.max(window[0] - 1, 0), Math.max(window[1] - 1, 0), Math.min(window[2] + 1, mask.width), Math.min(window[3] + 1, mask.height)];
  const around = distance(cut(mask, grown), 5), wide = bytes(heightOf(window), widthOf(window));
  const [left, top] = [window[0] - grown[0], window[1] - grown[1]];
  const depth = cut(around, [left, top, left + wide.width, top + wide.height]);
  for (const index of [NOBODY, ...crops.keys()]) {
    const crop = crops.get(index), limit = clamp(FINE_SHARE * (crop ? crop.size * crop.scale : Infinity), ...FINE_PX);
    const deep = mapBytes(depth, (value, at) => value > limit && owners[at] === index);
    if (!any(deep)) continue;
    const { labels, areas } = pieces(deep, 8), away = mapBytes(deep, (_, at) => !(labels[at]! && areas[labels[at]!]! >= WIDE_AREA_PX));
    if (!away.data.includes(0)) continue;
    const far = distance(away, 5);
    for (let at = 0; at < wide.data.length; at++) if (owners[at] === index && far.data[at]! <= 1.5 * limit + 1.5) wide.data[at] = 1;
  }
  const drawn = mapBytes(wide, (value, at) => value && owners[at]! >= 0);
  if (!any(drawn) || !owners.includes(NOBODY)) return wide;
  // A thin rest of a face's hole beyond its crop is no fine part: filled before, it would end in a line.
  const away = distance(mapBytes(drawn, (value) => !value), 5);
  return mapBytes(wide, (value, at) => value || (owners[at] === NOBODY && away.data[at]! <= 2 * FINE_PX[1]));
}

/** A crop for each connected piece of what belongs to no face; of many, those in one cell of the photo share one. What
 * touches what faces' crops complete (`drawn`) is filled softly, and fades into it as far as `reach` pixels. */
function contextTasks(lonely: Mask, window: Box, drawn: Mask, reach: number): Task[] {
  const beside = dilate(drawn, "square", 1);
  const { labels, areas, centres } = pieces(lonely, 8), groups = areas.map((_, piece) => piece), cells = rint(MOST_CONTEXTS ** 0.5);
  if (areas.length - 1 > MOST_CONTEXTS) {
    centres.forEach(([x, y], piece) => {
      const cell = (at: number, side: number): number => Math.min(Math.floor(at * cells / side), cells - 1);
      groups[piece] = piece && 1 + cell(x, lonely.width) + cells * cell(y, lonely.height);
    });
  }
  return [...new Set(groups.slice(1))].sort((one, other) => one - other).map((group) => {
    const piece = mapBytes(lonely, (_, at) => labels[at]! > 0 && groups[labels[at]!] === group);
    const share = any(and(piece, beside)) ? fading(piece, drawn, reach) : null;
    const [box, missing] = cutOut(share ? mapBytes(piece, (_, at) => share.data[at]! > 0) : piece, window);
    const inner: Box = [box[0] - window[0], box[1] - window[1], box[2] - window[0], box[3] - window[1]];
    return { crop: contextCrop(box), box, missing, face: null, stage: 2, landmarks: null, softly: share && cut(share, inner) };
  });
}

/** 1 in a piece, and from there to 0 in what is drawn beside it. */
function fading(piece: Mask, drawn: Mask, reach: number): Floats {
  const deep = distance(piece, 5).data.reduce((most, value) => Math.max(most, value), 0);
  const away = distance(mapBytes(piece, (value) => !value), 5), far = Math.min(reach, SOFT_EDGE[1] * deep) + 1;
  return { ...away, data: away.data.map((value, at) => piece.data[at] ? 1 : drawn.data[at] ? Math.max(1 - value / far, 0) : 0) };
}

/** An upright square `CONTEXT` times as wide as the box, with the box in its middle. */
function contextCrop(box: Box): Crop {
  const side = Math.max(Math.max(widthOf(box), heightOf(box)) * CONTEXT, SIDE_PX / 4), scale = side / SIDE_PX;
  const start = (low: number, high: number): number => (low + high - 1) / 2 - (SIDE_PX - 1) / 2 * scale;
  return new Crop(SIDE_PX, [scale, 0, start(box[0], box[2]), 0, scale, start(box[1], box[3])]);
}

/** A mask in a window of the photo, cut to its own pixels. */
function cutOut(missing: Mask, window: Box): [Box, Mask] {
  const box = boundingBox(missing);
  return [[window[0] + box[0], window[1] + box[1], window[0] + box[2], window[1] + box[3]], cut(missing, box)];
}

export const percent = (share: number): string => `${rint(100 * share)}%`;

export function placeOf({ box }: Face): string {
  const [x0, y0, x1, y1] = box.map(rint);
  return `the face at x ${x0}-${x1}, y ${y0}-${y1}`;
}

/** Why a face cannot be aligned, empty where it can. */
export function tooSmall(face: Face): string {
  const side = Math.min(face.box[2] - face.box[0], face.box[3] - face.box[1]);
  return side >= SMALLEST_FACE_PX ? "" : `${placeOf(face)} is ${rint(side)} px wide, below ${SMALLEST_FACE_PX}`;
}

function touches(face: Face, mask: Mask): boolean {
  const [x0, y0, x1, y1] = face.box.map((edge) => Math.max(rint(edge), 0)) as [number, number, number, number];
  return count(cut(mask, [x0, y0, Math.min(x1 + 1, mask.width), Math.min(y1 + 1, mask.height)])) > 0;
}
