/** Faces followed from frame to frame of a camera, in smooth paths, as `facefill.runtime.track` follows them; but the
 * finder works beside the camera, and what it says is of an earlier frame. */

import { type Box, type Bytes, type Point } from "./arrays";
import { apply } from "./crop";
import { overlap, type Face } from "./finder";
import { follow, grey, resize, type Matrix } from "./opencv";
import { tooSmall } from "./plan";

const LOST_LOOKS = 2, FLOW_PX = 480, LEAST_POINTS = 8, SAME_IOU = 0.3, PULL = 0.25, JUMP = 0.12, STILL = 0.25, EAGER = 30;

export interface Track {
  /** The same in all frames. */
  readonly number: number;
  /** Where it is now, smoothed. */
  readonly face: Face;
  /** Its landmarks as they were measured last. */
  readonly measured: readonly Point[];
  /** How often in a row the finder has not seen it. */
  readonly missed: number;
  /** Its movement could not be seen, so that nobody knows where it is until the finder sees it again. */
  readonly lost: boolean;
}

export class Tracker {
  tracks: readonly Track[] = [];
  /** The finder is to look at once. */
  due = true;
  private last: Bytes | null = null;
  private count = 0;

  /** Move the faces with the next frame. */
  follow(frame: Bytes): void {
    const scale = Math.min(1, FLOW_PX / Math.max(frame.width, frame.height)), shown = grey(frame);
    const now = scale < 1 ? resize(shown, Math.round(scale * frame.width), Math.round(scale * frame.height), "area") : shown;
    const last = this.last?.width === now.width && this.last.height === now.height ? this.last : null;
    this.tracks = this.tracks.map((track) => {
      const motion = last && !track.lost ? movement(last, now, track.face.box, scale) : null;
      if (!motion) return { ...track, lost: true };
      return smooth(track, track.measured.map((point) => apply(motion, point)), moved(track.face.box, motion), track.face.score);
    });
    this.due ||= this.tracks.some(({ lost }) => lost);
    this.last = now;
  }

  /** Take over what the finder saw in an earlier frame. before: what was followed in that frame. */
  see(found: readonly Face[], before: readonly Track[]): void {
    const left = found.filter((face) => !tooSmall(face)), kept: Track[] = [];
    for (const track of this.tracks) {
      const then = before.find(({ number }) => number === track.number) ?? track;
      const near = left.map(({ box }) => overlap(then.face.box, box)), best = near.indexOf(Math.max(...near));
      if (!((near[best] ?? 0) >= SAME_IOU)) {
        kept.push({ ...track, missed: track.missed + 1 });
        continue;
      }
      const [face] = left.splice(best, 1), since = similarity(then.measured, track.measured);
      kept.push(pull(track, { ...face!, box: moved(face!.box, since), landmarks: face!.landmarks.map((point) => apply(since, point)) }));
    }
    this.tracks = [...kept.filter(({ missed }) => missed < LOST_LOOKS),
      ...left.map((face) => ({ number: this.count++, face, measured: face.landmarks, missed: 0, lost: false }))];
    this.due = false;
  }
}

/** The similarity by which what lies in a box moved; null where that cannot be seen. scale: of the planes. */
function movement(last: Bytes, now: Bytes, box: Face["box"], scale: number): Matrix | null {
  const [x0, y0, x1, y1] = box.map((edge) => edge * scale) as [number, number, number, number];
  const window: Box = [Math.max(Math.floor(x0), 0), Math.max(Math.floor(y0), 0), Math.min(Math.ceil(x1) + 1, last.width),
    Math.min(Math.ceil(y1) + 1, last.height)];
  if (Math.min(window[2] - window[0], window[3] - window[1]) < 8) return null;
  const { start, end } = follow(last, now, window);
  if (start.length < LEAST_POINTS) return null;
  const [a, b, x, c, d, y] = similarity(start, end), size = Math.hypot(a, c);
  return size > 0.8 && size < 1.25 ? [a, b, x / scale, c, d, y / scale] : null;
}

/** The similarity that brings points nearest to others, by least squares. */
export function similarity(from: readonly Point[], to: readonly Point[]): Matrix {
  const mean = (points: readonly Point[], axis: 0 | 1): number => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [fx, fy, tx, ty] = [mean(from, 0), mean(from, 1), mean(to, 0), mean(to, 1)];
  let along = 0, across = 0, spread = 0;
  from.forEach(([x, y], at) => {
    const [u, v, p, q] = [x - fx, y - fy, to[at]![0] - tx, to[at]![1] - ty];
    along += u * p + v * q;
    across += u * q - v * p;
    spread += u * u + v * v;
  });
  const [cos, sin] = [along / Math.max(spread, 1e-9), across / Math.max(spread, 1e-9)];
  return [cos, -sin, tx - cos * fx + sin * fy, sin, cos, ty - sin * fx - cos * fy];
}

/** An upright box after a movement. */
function moved([x0, y0, x1, y1]: Face["box"], motion: Matrix): Face["box"] {
  const [x, y] = apply(motion, [(x0 + x1) / 2, (y0 + y1) / 2]), size = Math.hypot(motion[0], motion[3]) / 2;
  return [x - (x1 - x0) * size, y - (y1 - y0) * size, x + (x1 - x0) * size, y + (y1 - y0) * size];
}

/** Towards what the finder sees: slowly where that is near, so that its own unrest does not move the face. */
function pull(track: Track, seen: Face): Track {
  const share = track.lost || away(seen.landmarks, track.measured) > JUMP * sizeOf(seen.landmarks) ? 1 : PULL;
  const box = track.face.box.map((edge, at) => edge + share * (seen.box[at]! - edge)) as Face["box"];
  return { ...smooth(track, towards(track.measured, seen.landmarks, share), box, seen.score), missed: 0, lost: false };
}

/** An exponential filter whose constant grows with the speed (Casiez, Roussel & Vogel 2012). */
function smooth(track: Track, measured: readonly Point[], box: Face["box"], score: number): Track {
  const speed = away(measured, track.face.landmarks) / sizeOf(measured);
  const landmarks = towards(track.face.landmarks, measured, Math.min(1, STILL + EAGER * speed));
  return { ...track, face: { ...track.face, box, landmarks, score }, measured };
}

const towards = (from: readonly Point[], to: readonly Point[], share: number): Point[] =>
  from.map(([x, y], at) => [x + share * (to[at]![0] - x), y + share * (to[at]![1] - y)]);

/** Mean absolute difference of coordinates. */
const away = (one: readonly Point[], other: readonly Point[]): number =>
  one.reduce((sum, [x, y], at) => sum + Math.abs(x - other[at]![0]) + Math.abs(y - other[at]![1]), 0) / 2 / one.length;

/** From the eyes to the mouth, in pixels. */
const sizeOf = ([left, right, , ...mouth]: readonly Point[]): number => Math.max(1, Math.hypot(
  (left![0] + right![0] - mouth[0]![0] - mouth[1]![0]) / 2, (left![1] + right![1] - mouth[0]![1] - mouth[1]![1]) / 2));
