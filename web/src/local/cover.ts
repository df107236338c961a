/** Which pixels of a photo cover its faces, as `facefill.runtime.cover` finds them. */

import {
  and, any, boundingBox, bytes, chosen, copyOf, count, cut, floats, mapBytes, mapFloats, not, or, quantile, rint, type Box, type Bytes, type Floats, type Mask,
} from "./arrays";
import { Crop } from "./crop";
import type { Face } from "./finder";
import { toNetwork, type Network } from "./network";
import { dilate, distance, gauss, nearest, pieces, resize, warp } from "./opencv";

/** In the order of the network's outputs, which may be the first of them only: then the others are never found. */
export const KINDS = ["mask", "sunglasses", "other", "hand"];
const FACE_PX = 256, SIDE_PX = 320, INSET_PX = 32, OUTSIDE = 128, THRESHOLD = 0.5, SURE = 0.95, SMALLEST_PX = 0.004 * FACE_PX ** 2;
const DOUBT = 0.1, LIKE_LEVELS = 20, REACH_PX = 16, GROW_PX = 6, STRAP = 0.25;
const HUG_PX = 3, STRAP_REACH_PX = 10, STRAP_WIDTH_PX = 10, COLLAR_MIDDLE_PX = [160, 150] as const, COLLAR_AXES_PX = [125, 140] as const;
const BESIDE_PX = [32, 64] as const, GOES_ON = 0.92, WIDER = 1.25, LOWER_PX = [0, 80], STRAIGHT_PX = 40, GARMENT = 0.25;
const HELD = 0.9, HELD_DEPTH_PX = 5, HELD_PX = 15, RIM_PX = 6, BEYOND_PX = [9, 18] as const;
/** Side of the view of a camera's face: four fifths of the pixels; and how far what is found grows in it. */
const QUICK_PX = 288, QUICK_GROW_PX = 5;
const REST_LEVELS = 60, NEARER = 0.6, MOST_REST = 0.1;

export interface Cover {
  /** Where in the photo `missing` lies; empty where nothing covers the face. */
  box: Box;
  missing: Mask;
  /** The largest first. */
  kinds: string[];
  /** Whether what looks like it goes on where its mask ends. */
  cut: boolean;
  /** Kinds that cover the face too and were not asked for, the largest first. */
  leftOn: string[];
}

/** What the network sees in one square: scores of the kinds that were asked for, and others of those that were not. */
interface Look { square: Crop; inside: Mask; scores: Floats[]; others: Floats[]; score: Floats; mask: Mask }

export async function findCover(photo: Bytes, face: Face, network: Network, kinds: readonly string[]): Promise<Cover> {
  const { height, width } = photo, square = squareAround(face, SIDE_PX)!, look = await lookIn(photo, square, network, kinds);
  const grown = grownBy(look.mask, GROW_PX), leaves = leavesOf(look, grown);
  let { mask } = look, placed = square.putMask(grown, height, width), isCut = false;
  if (any(leaves)) {
    const found = goesOn(mask, look.score, leaves) ? await further(photo, look, placed, network, kinds) : null;
    mask = found ? mask : endGarment(mask, look.score, reaching(grown, leaves));
    placed = found?.whole ?? square.putMask(grownBy(mask, GROW_PX), height, width);
    isCut = !found || restIsLeft(photo, placed, look, found.last.square);
  }
  const box = boundingBox(placed);
  return { box, missing: cut(placed, box), kinds: kindsOf(mask, look.scores), cut: isCut, leftOn: leftOn(photo, look) };
}

async function lookIn(photo: Bytes, square: Crop, network: Network, kinds: readonly string[]): Promise<Look> {
  const view = viewOf(photo, square), inside = not(square.outside(photo.height, photo.width));
  const [scores, others] = scoresOf((await network({ worn: toNetwork(view) })).data, kinds), score = together(scores, inside);
  return { square, inside, scores, others, score, mask: outline(score, view) };
}

/** What is covered, before it is grown. */
function outline(score: Floats, view: Bytes): Mask {
  const followed = follow(trust(clean(mapBytes(score, (value) => value > THRESHOLD)), score), view, score);
  return clean(withStraps(followed, score));
}

/** The kinds that would have been found, too, had they been asked for. */
function leftOn(photo: Bytes, { square, inside, others }: Look): string[] {
  if (!others.some(({ data }) => data.some((value) => value > 0))) return [];
  return kindsOf(outline(together(others, inside), viewOf(photo, square)), others);
}

/** What is placed and all of the cover that goes on from there, and the last look; null for a garment, which goes on and on. */
async function further(
  photo: Bytes, first: Look, placed: Mask, network: Network, kinds: readonly string[],
): Promise<{ whole: Mask; last: Look } | null> {
  const { height, width } = photo, most = count(placed) + GARMENT * (FACE_PX * first.square.scale) ** 2;
  const looks = [first];
  let whole = placed;
  for (const lower of LOWER_PX) {
    const before = looks.at(-1)!, ruledOut = before.square.putMask(mapBytes(before.score, (value) => value <= DOUBT), height, width);
    const look = await lookIn(photo, wider(first.square, lower), network, kinds);
    const held = look.square.takeMask(whole), out = look.square.takeMask(ruledOut), { score } = look;
    const more = mapBytes(look.mask, (value, at) => value && (!out.data[at] || score.data[at]! > SURE));
    const grown = grownBy(clean(and(more, reaching(or(more, held), held))), rint(GROW_PX / WIDER));
    whole = or(whole, look.square.putMask(grown, height, width));
    if (count(whole) > most) return null;
    if (!leavesOf(look, grown).data.includes(1, SIDE_PX)) return looks.some(({ square }) => ends(square, whole)) ? null : { whole, last: look };
    looks.push(look);
  }
  return null;
}

/** Whether what is placed ends in a straight line at the square's lower, left or right edge. */
function ends(square: Crop, placed: Mask): boolean {
  const step = Math.max(2, Math.ceil(1.5 / square.scale)), m = square.matrix, [x, y] = square.toPhoto([-step, -step]);
  const around = new Crop(square.size + 2 * step, [m[0], m[1], x, m[3], m[4], y]), { size } = around;
  const held = around.takeMask(placed), out = around.outside(placed.height, placed.width), last = size - 1;
  const edges: readonly ((at: number, deep: number) => number)[] = [
    (at, deep) => (last - deep) * size + at, (at, deep) => at * size + deep, (at, deep) => at * size + last - deep,
  ];
  return edges.some((edge) => Array.from({ length: square.size }, (_, at) => at + step)
    .filter((at) => held.data[edge(at, step)] && !held.data[edge(at, 0)] && !out.data[edge(at, 0)]).length > STRAIGHT_PX);
}

/** Whether what looks like the cover is left beside what is placed: around all of it, or what the first look did not reach. */
function restIsLeft(photo: Bytes, placed: Mask, first: Look, square: Crop): boolean {
  const { height, width } = photo, inside = not(square.outside(height, width)), { score } = first;
  const [cover, reached] = [deep(mapBytes(first.mask, (value, at) => value && score.data[at]! > HELD)), mapBytes(first.mask, () => 1)]
    .map((mask) => square.takeMask(first.square.putMask(mask, height, width))) as [Mask, Mask];
  const view = viewOf(photo, square), hole = square.takeMask(placed), rims = [[inside, 0], [not(reached), LIKE_LEVELS]] as const;
  return rims.some(([rim, alike]) => restBeside(view, hole, cover, rim, inside, alike) > MOST_REST);
}

/** The share of a hole's rim that looks like the cover and not like what lies beyond, or is alike whatever lies there. */
function restBeside(view: Bytes, hole: Mask, cover: Mask, where: Mask, inside: Mask, alike: number): number {
  const height = distance(not(hole), 5), within = (from: number, to: number): Mask =>
    mapBytes(inside, (value, at) => value && height.data[at]! > from && height.data[at]! <= to);
  const rim = and(where, within(0, RIM_PX)), beyond = within(...BEYOND_PX), all = count(rim);
  if (!all || !any(cover) || !any(beyond)) return 0;
  const picture = gauss(view, 1.5, false), [near, far] = [nearest(picture, cover), nearest(picture, beyond)];
  return count(mapBytes(rim, (value, at) => {
    const toCover = apart(picture, near, at);
    return value && (toCover < alike || (toCover < REST_LEVELS && toCover < NEARER * apart(picture, far, at)));
  })) / all;
}

/** Distance in RGB. */
const apart = (picture: Bytes, other: Bytes, at: number): number => Math.hypot(
  ...[0, 1, 2].map((channel) => picture.data[3 * at + channel]! - other.data[3 * at + channel]!));

const grownBy = (mask: Mask, radius: number): Mask => clean(dilate(mask, "disc", radius));

/** Where a grown mask meets the square's edge while the photo goes on. */
const leavesOf = ({ inside }: Look, grown: Mask): Mask => mapBytes(grown, (value, at) => value && inside.data[at]! && (
  at < SIDE_PX || at >= (SIDE_PX - 1) * SIDE_PX || at % SIDE_PX === 0 || at % SIDE_PX === SIDE_PX - 1));

/** The pieces of a mask in which a seed lies. */
function reaching(mask: Mask, seeds: Mask): Mask {
  const { labels } = pieces(mask, 4), held = new Set<number>();
  seeds.data.forEach((value, at) => { if (value && mask.data[at]) held.add(labels[at]!); });
  return mapBytes(mask, (_, at) => held.has(labels[at]!));
}

/** Whether the network is sure of what leaves its square, a little way inside. */
function goesOn(mask: Mask, score: Floats, leaves: Mask): boolean {
  const away = distance(not(leaves), 5);
  const beside = mapBytes(mask, (value, at) => value && away.data[at]! >= BESIDE_PX[0] && away.data[at]! < BESIDE_PX[1]);
  return quantile(chosen(score, beside), 0.5) >= GOES_ON;
}

/** A copy of a mask in which of this part only what the network is sure of near the face, and what is near that, is left. */
function endGarment(mask: Mask, score: Floats, part: Mask): Mask {
  const sure = deep(mapBytes(mask, (value, at) => value && part.data[at]! && score.data[at]! > HELD));
  const near = dilate(mapBytes(sure, (value, at) => value && withinCollar(at)), "disc", HELD_PX);
  return clean(mapBytes(mask, (value, at) => value && (!part.data[at] || near.data[at]!)));
}

/** Whether a garment is held at this place of the square. */
function withinCollar(at: number): boolean {
  const [x, y] = COLLAR_MIDDLE_PX, [across, down] = COLLAR_AXES_PX;
  return ((at % SIDE_PX - x) / across) ** 2 + ((Math.floor(at / SIDE_PX) - y) / down) ** 2 <= 1;
}

const deep = (mask: Mask): Mask => mapBytes(distance(mask, 5), (value) => value > HELD_DEPTH_PX);

/** A face of a film in its aligned square, and which pixels of that are covered and which lie outside the frame: what the
 * network says of a smaller view, without the second thoughts that a photo is worth. */
export async function lookAt(frame: Bytes, face: Face, network: Network): Promise<{ face: Bytes; hole: Mask; outside: Mask }> {
  const square = squareAround(face, SIDE_PX)!, outside = square.outside(frame.height, frame.width);
  const view = greyed(warp(frame, square.matrix, SIDE_PX, SIDE_PX, "linear"), outside);
  const said = (await network({ worn: toNetwork(resize(view, QUICK_PX, QUICK_PX, "area")) })).data, size = QUICK_PX ** 2;
  const score = mapFloats(floats(QUICK_PX, QUICK_PX), (_, at) => {
    let sum = 0;
    for (let there = at; there < said.length; there += size) sum += said[there]!;
    return sum;
  });
  const small = dilate(withStraps(clean(mapBytes(score, (value) => value > THRESHOLD)), score), "disc", QUICK_GROW_PX);
  const levels = resize({ ...small, data: small.data.map((value) => 255 * value) }, SIDE_PX, SIDE_PX, "linear");
  const hole = mapBytes(levels, (value, at) => value > 127 && !outside.data[at]), aligned: Box = [INSET_PX, 0, INSET_PX + FACE_PX, FACE_PX];
  return { face: cut(view, aligned), hole: cut(hole, aligned), outside: cut(outside, aligned) };
}

/** How sure the network is of any kind; not at all outside. */
const together = (scores: readonly Floats[], inside: Mask): Floats => mapFloats(scores[0]!, (_, at) =>
  inside.data[at] ? scores.reduce((sum, each) => Math.fround(sum + each.data[at]!), 0) : 0);

/** How sure the network is of each kind that is wanted, and of each of the others. */
function scoresOf(said: Float32Array, kinds: readonly string[]): [Floats[], Floats[]] {
  const size = SIDE_PX * SIDE_PX, told = KINDS.slice(0, said.length / size);
  const where = (wanted: (kind: string) => boolean): Floats[] => told.map((kind, index) => ({
    height: SIDE_PX, width: SIDE_PX, channels: 1,
    data: wanted(kind) ? said.slice(index * size, (index + 1) * size) : new Float32Array(size),
  }));
  const asked = (kind: string): boolean => told.length === 1 || kinds.includes(kind);
  return [where(asked), where((kind) => !asked(kind))];
}

/** The square that the network looks at, in pixels of that side; null where landmarks fall together. */
export function squareAround(face: Pick<Face, "landmarks">, side: number): Crop | null {
  const aligned = Crop.aroundFace(face.landmarks, FACE_PX);
  if (!aligned) return null;
  const grown = SIDE_PX / side, middle = (grown - 1) / 2, [x, y] = aligned.toPhoto([middle - INSET_PX, middle]), m = aligned.matrix;
  return new Crop(side, [m[0] * grown, m[1] * grown, x, m[3] * grown, m[4] * grown, y]);
}

/** The square that is `WIDER`, with its top so far below this one's, both around one axis. */
function wider(square: Crop, lower: number): Crop {
  const beside = (1 - WIDER) / 2, m = square.matrix, [x, y] = square.toPhoto([beside * square.size - beside, lower - beside]);
  return new Crop(square.size, [m[0] * WIDER, m[1] * WIDER, x, m[3] * WIDER, m[4] * WIDER, y]);
}

/** The square of a photo, grey where the photo does not reach. */
export function viewOf(photo: Bytes, square: Crop): Bytes {
  return greyed(square.take(photo), square.outside(photo.height, photo.width));
}

function greyed(view: Bytes, outside: Mask): Bytes {
  const made = copyOf(view);
  outside.data.forEach((value, at) => { if (value) made.data.fill(OUTSIDE, 3 * at, 3 * at + 3); });
  return made;
}

/** What a mask consists of, the largest part first. */
function kindsOf(mask: Mask, scores: readonly Floats[]): string[] {
  if (scores.length === 1) return [];
  const counts = scores.map(() => 0);
  for (let at = 0; at < mask.data.length; at++) {
    if (!mask.data[at]) continue;
    let best = 0;
    scores.forEach(({ data }, kind) => { if (data[at]! > scores[best]!.data[at]!) best = kind; });
    counts[best]!++;
  }
  return counts.map((_, kind) => kind).filter((kind) => counts[kind]! >= SMALLEST_PX).sort((one, other) => counts[other]! - counts[one]!)
    .map((kind) => KINDS[kind]!);
}

/** Without specks, and with pinholes filled. */
function clean(mask: Mask): Mask {
  let made = mask;
  for (const value of [1, 0]) {
    const found = pieces(mapBytes(made, (each) => each === value), 4);
    made = mapBytes(made, (each, at) => {
      const piece = found.labels[at]!;
      return piece && found.areas[piece]! < SMALLEST_PX ? 1 - value : each;
    });
  }
  return made;
}

/** Without the pieces of which the network is not sure anywhere. */
function trust(mask: Mask, score: Floats): Mask {
  const { labels, areas } = pieces(mask, 4);
  const unsure = areas.map((_, piece) => piece > 0 && quantile(chosen(score, mapBytes(mask, (_each, at) => labels[at] === piece)), 0.9) < SURE);
  return mapBytes(mask, (value, at) => value && !unsure[labels[at]!]);
}

/** Extended to what hangs together with it, looks like the cover and is not ruled out by the network. */
function follow(mask: Mask, view: Bytes, score: Floats): Mask {
  const picture = gauss(view, 1.5, false);
  let made = mask;
  for (let round = 0; round < 2; round++) {
    const depth = distance(made, 5), height = distance(not(made), 5), inner = mapBytes(depth, (value) => value > 5 && value <= 20);
    if (!any(inner)) break;
    const like = nearest(picture, inner), able = bytes(made.height, made.width);
    for (let at = 0; at < able.data.length; at++) {
      const alike = apart(picture, like, at) < LIKE_LEVELS && height.data[at]! <= REACH_PX && score.data[at]! > DOUBT;
      able.data[at] = Number(made.data[at]! || alike);
    }
    made = clean(reaching(able, made));
  }
  return made;
}

/** With what begins at the mask and leads away from it, long and narrow, as ear straps do. */
function withStraps(mask: Mask, score: Floats): Mask {
  const away = distance(not(mask), 5), able = mapBytes(mask, (value, at) => !value && score.data[at]! > STRAP);
  const { labels, areas } = pieces(mapBytes(able, (value, at) => value && away.data[at]! > HUG_PX), 8);
  const near = areas.map(() => Infinity), far = areas.map(() => 0);
  labels.forEach((piece, at) => {
    near[piece] = Math.min(near[piece]!, away.data[at]!);
    far[piece] = Math.max(far[piece]!, away.data[at]!);
  });
  const leads = areas.map((area, piece) =>
    piece > 0 && near[piece]! < HUG_PX + 2 && far[piece]! >= STRAP_REACH_PX && area < STRAP_WIDTH_PX * far[piece]!);
  const strap = mapBytes(mask, (_, at) => leads[labels[at]!]!), beside = dilate(strap, "disc", HUG_PX + 1);
  return mapBytes(mask, (value, at) => value || strap.data[at]! || (able.data[at]! && beside.data[at]!));
}
