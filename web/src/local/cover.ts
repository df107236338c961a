/** Which pixels of a photo cover its faces, as `facefill.runtime.cover` finds them. */

import { any, boundingBox, bytes, chosen, copyOf, cut, mapBytes, mapFloats, not, quantile, type Box, type Bytes, type Floats, type Mask } from "./arrays";
import { Crop } from "./crop";
import type { Face } from "./finder";
import { toNetwork, type Network } from "./network";
import { dilate, distance, gauss, nearest, pieces, warp } from "./opencv";

export const KINDS = ["mask", "sunglasses", "other"];
const FACE_PX = 256, SIDE_PX = 320, INSET_PX = 32, OUTSIDE = 128, THRESHOLD = 0.5, SURE = 0.95, SMALLEST_PX = 0.004 * FACE_PX ** 2;
const DOUBT = 0.1, LIKE_LEVELS = 20, REACH_PX = 16, GROW_PX = 6, STRAP = 0.25, STRAP_REACH_PX = 10, STRAP_WIDTH_PX = 10;

export interface Cover {
  /** Where in the photo `missing` lies; empty where nothing covers the face. */
  box: Box;
  missing: Mask;
  /** The largest first. */
  kinds: string[];
  /** Whether it goes on beyond what was looked at. */
  cut: boolean;
}

export async function findCover(photo: Bytes, face: Face, network: Network, kinds: readonly string[]): Promise<Cover> {
  const square = squareAround(face, SIDE_PX)!, view = viewOf(photo, square), inside = not(square.outside(photo.height, photo.width));
  const scores = scoresOf((await network({ worn: toNetwork(view) })).data, kinds), score = together(scores, inside);
  const followed = follow(trust(clean(mapBytes(score, (value) => value > THRESHOLD)), score), view, score);
  const mask = clean(withStraps(followed, score));
  const grown = clean(dilate(mask, "disc", GROW_PX)), placed = square.putMask(grown, photo.height, photo.width), box = boundingBox(placed);
  const last = SIDE_PX - 1, onRim = (at: number): boolean =>
    at < SIDE_PX || at >= last * SIDE_PX || at % SIDE_PX === 0 || at % SIDE_PX === last;
  return {
    box, missing: cut(placed, box), kinds: kindsOf(mask, scores),
    cut: grown.data.some((value, at) => value && inside.data[at] && onRim(at)),
  };
}

/** A face of a film in its aligned square, and which pixels of that are covered and which lie outside the frame: what the
 * network says, without the second thoughts that a photo is worth. */
export async function lookAt(frame: Bytes, face: Face, network: Network): Promise<{ face: Bytes; hole: Mask; outside: Mask }> {
  const square = squareAround(face, SIDE_PX)!, outside = square.outside(frame.height, frame.width);
  const view = greyed(warp(frame, square.matrix, SIDE_PX, SIDE_PX, "linear"), outside);
  const score = together(scoresOf((await network({ worn: toNetwork(view) })).data, KINDS), not(outside));
  const found = clean(withStraps(clean(mapBytes(score, (value) => value > THRESHOLD)), score));
  const hole = dilate(found, "disc", GROW_PX), aligned: Box = [INSET_PX, 0, INSET_PX + FACE_PX, FACE_PX];
  return { face: cut(view, aligned), hole: cut(hole, aligned), outside: cut(outside, aligned) };
}

/** How sure the network is of any kind; not at all outside. */
const together = (scores: readonly Floats[], inside: Mask): Floats => mapFloats(scores[0]!, (_, at) =>
  inside.data[at] ? scores.reduce((sum, each) => Math.fround(sum + each.data[at]!), 0) : 0);

/** How sure the network is of each kind that is wanted. */
function scoresOf(said: Float32Array, kinds: readonly string[]): Floats[] {
  const size = SIDE_PX * SIDE_PX;
  return KINDS.map((kind, index) => ({
    height: SIDE_PX, width: SIDE_PX, channels: 1,
    data: kinds.includes(kind) ? said.slice(index * size, (index + 1) * size) : new Float32Array(size),
  }));
}

/** The square that the network looks at, in pixels of that side; null where landmarks fall together. */
export function squareAround(face: Pick<Face, "landmarks">, side: number): Crop | null {
  const aligned = Crop.aroundFace(face.landmarks, FACE_PX);
  if (!aligned) return null;
  const grown = SIDE_PX / side, middle = (grown - 1) / 2, [x, y] = aligned.toPhoto([middle - INSET_PX, middle]), m = aligned.matrix;
  return new Crop(side, [m[0] * grown, m[1] * grown, x, m[3] * grown, m[4] * grown, y]);
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
  const counts = KINDS.map(() => 0);
  for (let at = 0; at < mask.data.length; at++) {
    if (!mask.data[at]) continue;
    let best = 0;
    scores.forEach(({ data }, kind) => { if (data[at]! > scores[best]!.data[at]!) best = kind; });
    counts[best]!++;
  }
  return KINDS.map((_, kind) => kind).filter((kind) => counts[kind]! >= SMALLEST_PX).sort((one, other) => counts[other]! - counts[one]!)
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
      const away = [0, 1, 2].reduce((sum, channel) => sum + (picture.data[3 * at + channel]! - like.data[3 * at + channel]!) ** 2, 0);
      const alike = Math.sqrt(away) < LIKE_LEVELS && height.data[at]! <= REACH_PX && score.data[at]! > DOUBT;
      able.data[at] = Number(made.data[at]! || alike);
    }
    const { labels } = pieces(able, 4), kept = new Set<number>();
    made.data.forEach((value, at) => { if (value) kept.add(labels[at]!); });
    made = clean(mapBytes(able, (value, at) => value && kept.has(labels[at]!)));
  }
  return made;
}

/** With what begins at the mask and leads away from it, long and narrow, as ear straps do. */
function withStraps(mask: Mask, score: Floats): Mask {
  const away = distance(not(mask), 5), { labels, areas } = pieces(mapBytes(mask, (value, at) => !value && score.data[at]! > STRAP), 8);
  const near = areas.map(() => Infinity), far = areas.map(() => 0);
  labels.forEach((piece, at) => {
    near[piece] = Math.min(near[piece]!, away.data[at]!);
    far[piece] = Math.max(far[piece]!, away.data[at]!);
  });
  const strap = areas.map((area, piece) =>
    piece > 0 && near[piece]! < 2 && far[piece]! >= STRAP_REACH_PX && area < STRAP_WIDTH_PX * far[piece]!);
  return mapBytes(mask, (value, at) => value || strap[labels[at]!]!);
}
