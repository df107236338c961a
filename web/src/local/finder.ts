/** Where the faces of a photo are, as `facefill.runtime.finder` and `facefill.runtime.second_look` find them. */

import { bytes, clamp, cut, paste, rint, type Bytes, type Point } from "./arrays";
import { squareAround, viewOf } from "./cover";
import { apply, Crop } from "./crop";
import { mirror, toNetwork, type Network } from "./network";
import { resize } from "./opencv";

const STRIDES = [8, 16, 32], LONG_SIDE_PX = 640, COARSE_SIDE_PX = 320, CANVAS_PX = [160, 320, 480, 512, 640], CANDIDATE = 0.4, THRESHOLD = 0.66, CERTAIN = 0.9;
const SAME_IOU = 0.4, SAME_SHARE = 0.65, AGREE_IOU = 0.6, LOOK_PX = 128, SECOND_PX = 160, IS_FACE = 0.3;
const USUAL = [0.23, 0.19, 0.77, 0.92].map((share) => share * LOOK_PX);
const MIRRORED = [1, 0, 2, 4, 3];

export interface Face {
  box: [number, number, number, number];
  /** Eyes, nose tip, corners of the mouth, the viewer's left first. */
  landmarks: Point[];
  score: number;
  /** How far the landmarks lay apart at the second look, as a share of the eyes' distance. */
  moved: number;
}
/** Score; x0, y0, x1, y1; x and y of five landmarks. */
type Finding = number[];

/** All faces, the largest first. */
export async function findFaces(photo: Bytes, finder: Network, second: Network): Promise<Face[]> {
  const sure: Finding[] = [], faces: Face[] = [];
  for (const row of await suspects(photo, finder)) {
    const again = await lookAgain(photo, row, finder);
    if (again) sure.push(again);
  }
  for (const row of merge(sure)) {
    const face = faceOf(row, photo);
    if (face && faces.every((other) => shared(face, other) <= SAME_SHARE)) faces.push(face);
  }
  faces.sort((one, other) => area(other) - area(one));
  const checked: Face[] = [];
  for (const face of faces) {
    const better = await check(photo, face, second);
    if (better) checked.push(better);
  }
  return checked;
}

async function suspects(photo: Bytes, finder: Network): Promise<Finding[]> {
  const view = shrink(photo, LONG_SIDE_PX), rows = await look(view, photo, finder);
  if (Math.max(view.height, view.width) > COARSE_SIDE_PX) rows.push(...await look(shrink(view, COARSE_SIDE_PX), photo, finder));
  return merge(rows);
}

/** Findings in one size, in pixels of the photo. */
async function look(view: Bytes, photo: Bytes, finder: Network): Promise<Finding[]> {
  const up = (side: number): number => CANVAS_PX.find((px) => px >= side)!, canvas = bytes(up(view.height), up(view.width), 3);
  canvas.data.fill(128);
  paste(canvas, view, 0, 0);
  const said = await finder({ image: toNetwork(canvas) });
  const scale = [photo.width / view.width, photo.height / view.height];
  return decode(said.data, canvas.height, canvas.width).map((row) =>
    row.map((value, at) => at ? (value + 0.5) * scale[(at - 1) % 2]! - 0.5 : value));
}

/** The finding as seen in its aligned crop, as it is and, if that shows a face, mirrored; null where no face is seen there. */
async function lookAgain(photo: Bytes, row: Finding, finder: Network): Promise<Finding | null> {
  const unseen = row[0]! >= CERTAIN ? row : null, crop = Crop.aroundFace(snap(pointsOf(row)), LOOK_PX);
  if (!crop) return unseen;
  const face = crop.take(photo), found: Finding[] = [];
  for (const [index, view] of [face, mirror(face)].entries()) {
    const rows = decode((await finder({ image: toNetwork(view) })).data, LOOK_PX, LOOK_PX);
    const best = usual(index ? rows.map(mirrored) : rows);
    if (best) found.push(best);
    else if (!index) return unseen;
  }
  const mean = found[0]!.map((_, at) => found.reduce((sum, each) => sum + each[at]!, 0) / found.length);
  return mean[0]! >= THRESHOLD ? intoPhoto(mean, crop) : unseen;
}

/** What the network's points say: see the Python function of the same name. */
function decode(said: Float32Array, height: number, width: number): Finding[] {
  const found: Finding[] = [], least = Math.log(CANDIDATE / (1 - CANDIDATE)), points = said.length / 15;
  let start = 0;
  for (const stride of STRIDES) {
    const columns = Math.floor(width / stride), all = columns * Math.floor(height / stride);
    for (let index = 0; index < all; index++) {
      const value = (row: number): number => said[row * points + start + index]!;
      if (value(0) < least) continue;
      const x = (index % columns + 0.5) * stride - 0.5, y = (Math.floor(index / columns) + 0.5) * stride - 0.5;
      const middle = [x + value(1) * stride, y + value(2) * stride] as const;
      const half = [3, 4].map((row) => Math.exp(clamp(value(row), -6, 6)) * 2 * stride) as [number, number];
      const landmarks = Array.from({ length: 10 }, (_, at) => (at % 2 ? y : x) + value(5 + at) * stride);
      found.push([1 / (1 + Math.exp(-value(0))), middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1],
        ...landmarks].map(Math.fround));
    }
    start += all;
  }
  return found;
}

/** One row for each face, the most certain first: the best finding, averaged by score with those that agree with it. */
function merge(rows: Finding[]): Finding[] {
  let left = [...rows].sort((one, other) => other[0]! - one[0]!);
  const faces: Finding[] = [];
  while (left.length) {
    const best = left[0]!, near = left.map((row) => overlap(best.slice(1, 5), row.slice(1, 5)));
    const agree = left.filter((_, at) => near[at]! >= AGREE_IOU), sum = agree.reduce((total, row) => total + row[0]!, 0);
    faces.push(best.map((value, at) => at ? agree.reduce((total, row) => total + row[0]! / sum * row[at]!, 0) : value));
    left = left.filter((_, at) => near[at]! < SAME_IOU);
  }
  return faces;
}

/** Intersection over union. */
export function overlap(one: readonly number[], other: readonly number[]): number {
  const span = (at: number): number => Math.max(Math.min(one[at + 2]!, other[at + 2]!) - Math.max(one[at]!, other[at]!), 0);
  const size = (box: readonly number[]): number => (box[2]! - box[0]!) * (box[3]! - box[1]!), inner = span(0) * span(1);
  return inner / Math.max(size(one) + size(other) - inner, 1e-6);
}

const usual = (rows: Finding[]): Finding | undefined => merge(rows).find((row) => overlap(USUAL, row.slice(1, 5)) >= 0.35);

/** A finding in a mirrored picture to that in the picture. */
function mirrored(row: Finding): Finding {
  const x = (at: number): number => LOOK_PX - 1 - row[at]!;
  return [row[0]!, x(3), row[2]!, x(1), row[4]!, ...MIRRORED.flatMap((mark) => [x(5 + 2 * mark), row[6 + 2 * mark]!])];
}

/** A finding in a crop to one in the photo; the box of a turned face is that of the ellipse in its upright box. */
function intoPhoto(row: Finding, crop: Crop): Finding {
  const m = crop.matrix, [x0, y0, x1, y1] = row.slice(1, 5) as [number, number, number, number];
  const [wide, high] = [(x1 - x0) / 2, (y1 - y0) / 2], middle = apply(m, [(x0 + x1) / 2, (y0 + y1) / 2]);
  const half = [Math.hypot(wide * m[0], high * m[1]), Math.hypot(wide * m[3], high * m[4])] as const;
  return [row[0]!, middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1],
    ...pointsOf(row).flatMap((point) => crop.toPhoto(point))].map(Math.fround);
}

/** The landmarks of a finding. */
const pointsOf = (row: Finding): Point[] => [5, 7, 9, 11, 13].map((at) => [row[at]!, row[at + 1]!]);

/** On eighths of a pixel, so that the last bits of what a network says change nothing. */
const snap = (points: Point[]): Point[] => points.map(([x, y]) => [rint(x * 8) / 8, rint(y * 8) / 8]);

/** The longer side brought down to that, by halves first. */
function shrink(picture: Bytes, longSide: number): Bytes {
  const longest = Math.max(picture.height, picture.width);
  if (longest <= longSide) return picture;
  const size = [picture.width, picture.height].map((side) => Math.max(1, rint(side * (longSide / longest)))) as [number, number];
  let shown = picture;
  while (shown.width >= 2 * size[0] && shown.height >= 2 * size[1]) {
    const half = [shown.width >> 1, shown.height >> 1] as const;
    shown = resize(cut(shown, [0, 0, 2 * half[0], 2 * half[1]]), ...half, "area");
  }
  return resize(shown, ...size, "area");
}

/** Null for what lies in the grey that fills the canvas up. */
function faceOf(row: Finding, photo: Bytes): Face | null {
  const box: Face["box"] = [Math.max(row[1]!, -0.5), Math.max(row[2]!, -0.5), Math.min(row[3]!, photo.width - 0.5),
    Math.min(row[4]!, photo.height - 0.5)];
  if (box[2] - box[0] < 1 || box[3] - box[1] < 1) return null;
  return { box, landmarks: snap(pointsOf(row)), score: row[0]!, moved: 0 };
}

const area = ({ box }: Face): number => (box[2] - box[0]) * (box[3] - box[1]);

/** Which share of the smaller box lies in the larger one. */
function shared(one: Face, other: Face): number {
  const span = (at: 0 | 1): number => Math.max(Math.min(one.box[at + 2]!, other.box[at + 2]!) - Math.max(one.box[at], other.box[at]), 0);
  return span(0) * span(1) / Math.min(area(one), area(other));
}

/** The second look: a face with better landmarks, or null where there is none. */
async function check(photo: Bytes, face: Face, second: Network): Promise<Face | null> {
  const square = squareAround(face, SECOND_PX);
  if (!square) return null;
  const view = viewOf(photo, square), said: Float32Array[] = [];
  for (const picture of [view, mirror(view)]) said.push((await second({ image: toNetwork(picture) })).data);
  const [plain, turned] = said as [Float32Array, Float32Array], sure = 1 / (1 + Math.exp(-(plain[0]! + turned[0]!) / 2));
  if (!(sure >= IS_FACE)) return null;
  const landmarks = snap(MIRRORED.map((other, mark) => square.toPhoto([
    (plain[1 + 2 * mark]! - turned[1 + 2 * other]!) / 2 * SECOND_PX + (SECOND_PX - 1) / 2,
    (plain[2 + 2 * mark]! + turned[2 + 2 * other]!) / 2 * SECOND_PX + (SECOND_PX - 1) / 2,
  ])));
  const away = (one: Point, other: Point): number => Math.hypot(one[0] - other[0], one[1] - other[1]);
  const far = landmarks.reduce((sum, point, at) => sum + away(point, face.landmarks[at]!), 0) / 5;
  return { ...face, landmarks, moved: far / Math.max(away(landmarks[0]!, landmarks[1]!), 1e-9) };
}
