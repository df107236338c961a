/** The faces of a camera completed, so that nothing flickers, as `facefill.runtime.stream` does it; but networks take
 * longer than a frame here. So faces are followed in every frame, networks work beside on the newest frame, and what
 * they drew last is carried along with its face. */

import {
  boundingBox, copyOf, count, cut, floats, mapBytes, mapFloats, or, paste, rint, type Box, type Bytes, type Floats, type Mask, type Point,
} from "./arrays";
import { lookAt } from "./cover";
import { Crop } from "./crop";
import { fill } from "./draw";
import { findFaces } from "./finder";
import type { Networks } from "./load";
import { LARGEST_SHARE, SIDE_PX } from "./plan";
import { Tracker, type Track } from "./track";

const HOLD = 0.8, STILL = 0.3, MOVED_LEVELS = 12;
/** The finder looks before every fourth completion, and where faces get lost. */
const EVERY = 4;
/** What of a face is drawn: the hole with that margin, in steps that the network takes. */
const MARGIN_PX = 12, STEP_PX = 64, LEAST_PX = 192;

/** What was drawn last on a face, in its aligned square. */
interface Patch {
  /** 1 where it is covered, less for each completion since it was. */
  cover: Floats;
  hole: Mask;
  face: Bytes;
  drawn: Floats;
  shown: Bytes;
  tooCovered: boolean;
}

/** A frame with what is drawn on it; all levels outside the box are the camera's. */
export interface Shown { pixels: Bytes; box: Box; faces: number; completed: number; tooCovered: number }

export class Stream {
  private readonly tracker = new Tracker();
  private patches = new Map<number, Patch>();
  private busy = false;
  private rounds = 0;
  private failure: unknown = null;

  constructor(private readonly networks: Networks) {}

  /** The next frame with the covers taken off as far as they are known. Raises what the networks raised. */
  show(frame: Bytes): Shown {
    if (this.failure) throw this.failure;
    this.tracker.follow(frame);
    if (!this.busy) {
      this.busy = true;
      void this.work(frame).catch((error: unknown) => { this.failure = error; }).finally(() => { this.busy = false; });
    }
    let pixels = frame, box: Box | null = null, completed = 0, tooCovered = 0;
    for (const { number, face, lost } of this.tracker.tracks) {
      const patch = this.patches.get(number), crop = Crop.aroundFace(face.landmarks, SIDE_PX);
      if (!patch || !crop || lost) continue;
      if (patch.tooCovered) tooCovered++;
      else if (patch.hole.data.includes(1)) {
        const missing = crop.putMask(patch.hole, frame.height, frame.width);
        pixels = crop.put(pixels, patch.shown, missing);
        box = around(boundingBox(missing), box);
        completed++;
      }
    }
    return { pixels, box: box ?? [0, 0, 0, 0], faces: this.tracker.tracks.length, completed, tooCovered };
  }

  private async work(frame: Bytes): Promise<void> {
    const { tracks } = this.tracker;
    if (this.tracker.due || !tracks.length || this.rounds++ % EVERY === 0) {
      this.tracker.see(await findFaces(frame, this.networks.finder, this.networks.second_look), tracks);
      return;
    }
    const drawn = new Map<number, Patch>();
    for (const track of tracks) {
      const patch = await this.draw(frame, track);
      if (patch) drawn.set(track.number, patch);
    }
    this.patches = drawn;
  }

  /** The cover grows at once and shrinks slowly: a rim that comes and goes would be seen. */
  private async draw(frame: Bytes, { number, face }: Track): Promise<Patch | null> {
    const crop = Crop.aroundFace(face.landmarks, SIDE_PX);
    if (!crop) return null;
    const { face: seen, hole: covered, outside } = await lookAt(frame, face, this.networks.cover), before = this.patches.get(number);
    const cover = mapFloats(covered, (value, at) => Math.max(value, HOLD * (before?.cover.data[at] ?? 0)));
    const hole = mapBytes(cover, (value) => value > 0.5), tooCovered = count(hole) / hole.data.length > LARGEST_SHARE;
    if (tooCovered || !hole.data.includes(1)) return { cover, hole, face: seen, drawn: floats(0, 0), shown: seen, tooCovered };
    const made = await complete(seen, hole, or(hole, outside), face.landmarks.map((point) => crop.toCrop(point)), this.networks.swift);
    const fresh = before?.drawn.data.length ? Math.min(1, STILL + movedLevels(seen, before.face, or(covered, before.hole)) / MOVED_LEVELS) : 1;
    const drawn = floats(made.height, made.width, 3), shown = copyOf(made);
    for (let at = 0; at < shown.data.length; at++) {
      const old = fresh < 1 ? before!.drawn.data[at]! : 0;
      shown.data[at] = rint(drawn.data[at] = old + fresh * (made.data[at]! - old));
    }
    return { cover, hole, face: seen, drawn, shown, tooCovered };
  }
}

/** The aligned face completed in a part that holds all of the hole: a network's time grows with what it is shown. */
async function complete(face: Bytes, hole: Mask, missing: Mask, landmarks: readonly Point[], swift: Networks["swift"]): Promise<Bytes> {
  const box = partOf(boundingBox(hole, MARGIN_PX)), part = cut(face, box), mask = cut(missing, box), made = copyOf(face);
  const noise = new Float32Array(mask.data.length);
  paste(made, await fill(part, mask, landmarks.map(([x, y]) => [x - box[0], y - box[1]]), noise, swift), box[0], box[1]);
  return made;
}

/** A box of sides that the network takes, around another one in the aligned square. */
export function partOf([x0, y0, x1, y1]: Box): Box {
  const along = (low: number, high: number): [number, number] => {
    const side = Math.max(LEAST_PX, Math.ceil((high - low) / STEP_PX) * STEP_PX), start = Math.round((low + high - side) / 8) * 4;
    const from = Math.min(Math.max(start, 0), SIDE_PX - side);
    return [from, from + side];
  };
  const [left, right] = along(x0, x1), [top, bottom] = along(y0, y1);
  return [left, top, right, bottom];
}

const around = (one: Box, other: Box | null): Box => other === null ? one :
  [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[2], other[2]), Math.max(one[3], other[3])];

/** Mean change of the known part of a face, in grey levels. */
function movedLevels(face: Bytes, before: Bytes, hidden: Mask): number {
  let sum = 0, known = 0;
  for (let at = 0; at < face.data.length; at++) {
    if (hidden.data[Math.floor(at / 3)]) continue;
    sum += Math.abs(face.data[at]! - before.data[at]!);
    known++;
  }
  return known ? sum / known : MOVED_LEVELS;
}
