/** The faces of a camera completed, so that nothing flickers, as `facefill.runtime.stream` does it. Faces are followed in
 * every frame. Where networks are so fast that ten frames a second are shown all the same, each frame waits for them and
 * shows what they drew on it, which is `swift`, or, where that takes too long, what draws once. Where that takes too long,
 * too, they work beside on the newest frame, and what they drew last is carried along with its face. */

import {
  any, copyOf, count, floats, mapBytes, mapFloats, not, or, type Box, type Bytes, type Floats, type Mask,
} from "./arrays";
import { lookAt } from "./cover";
import { Crop } from "./crop";
import { fill } from "./draw";
import { findFaces } from "./finder";
import type { LiveNetworks } from "./load";
import { LARGEST_SHARE, SIDE_PX } from "./plan";
import { Tracker, type Track } from "./track";

/** How much of a cover is left in each frame, and at least of each completion, where it is no longer seen: half of it is. */
const HOLD = 0.945, HOLD_DRAWN = 0.8;
const RISE = 1 / 3, FALL = 1 / 8, STILL = 0.3, MOVED_LEVELS = 12, CHANGED_LEVELS = 16;
/** The finder looks before every eighth completion, and where faces get lost. */
const EVERY = 8;
/** A frame waits for networks that took no longer for the one before: the rest of a tenth of a second is for following
 * and showing. */
const PATIENCE_MS = 85;
/** So often in a row they may take longer, the first runs do everywhere: `swift`, and what draws once after it. */
const LATE = 3, TOO_LATE = 8;

/** What was drawn last on a face, in its aligned square. */
interface Patch {
  frame: number;
  /** 1 where it is covered, less for each frame since it was. */
  cover: Floats;
  hole: Mask;
  face: Bytes;
  drawn: Floats;
  shown: Bytes;
  tooCovered: boolean;
  /** What is newly covered has changed, and is hidden at once. */
  sudden: boolean;
}

/** A frame with what is drawn on it; all levels outside the box are the camera's. */
export interface Shown {
  pixels: Bytes;
  box: Box;
  faces: number;
  completed: number;
  /** Those of them that show a new drawing. */
  drawn: number;
  tooCovered: number;
}

export class Stream {
  private readonly tracker = new Tracker();
  private patches = new Map<number, Patch>();
  /** How much of what is drawn each face showed in the last frame, 0 to 1 in its aligned square. */
  private shares = new Map<number, Floats>();
  /** In which frame what each face shows was drawn. */
  private newest = new Map<number, number>();
  private working: Promise<void> | null = null;
  /** How many drawings in a row took too long. */
  private late = 0;
  private rounds = 0;
  private frames = 0;
  private failure: unknown = null;

  constructor(private readonly networks: LiveNetworks) {}

  /** Whether each frame waits for its own drawing. */
  get waits(): boolean { return this.late < TOO_LATE; }

  /** The next frame with the covers taken off as far as they are known; one at a time. Raises what the networks raised. */
  async show(frame: Bytes): Promise<Shown> {
    this.tracker.follow(frame);
    this.frames++;
    this.working ??= this.work(frame).catch((error: unknown) => { this.failure = error; }).finally(() => { this.working = null; });
    if (this.waits) await this.working;
    if (this.failure) throw this.failure;
    const shares = new Map<number, Floats>(), newest = new Map<number, number>();
    let pixels = frame, box: Box | null = null, completed = 0, drawn = 0, tooCovered = 0;
    for (const { number, face, lost } of this.tracker.tracks) {
      const patch = this.patches.get(number), crop = Crop.aroundFace(face.landmarks, SIDE_PX);
      if (!patch || !crop || lost) continue;
      if (patch.tooCovered) {
        tooCovered++;
        continue;
      }
      const share = stepped(this.shares.get(number), patch);
      shares.set(number, share);
      if (!share.data.some((value) => value > 0)) continue;
      if (pixels === frame) pixels = copyOf(frame);
      box = around(crop.lay(pixels, patch.shown, share), box);
      completed++;
      drawn += Number(this.newest.get(number) !== patch.frame);
      newest.set(number, patch.frame);
    }
    this.shares = shares;
    this.newest = newest;
    return { pixels, box: box ?? [0, 0, 0, 0], faces: this.tracker.tracks.length, completed, drawn, tooCovered };
  }

  private async work(frame: Bytes): Promise<void> {
    const { tracks } = this.tracker;
    if (this.tracker.due || !tracks.length || this.rounds++ % EVERY === 0) {
      this.tracker.see(await findFaces(frame, this.networks.finder, this.networks.second_look), tracks);
      if (!this.waits) return;
    }
    const start = performance.now(), drawn = new Map<number, Patch>();
    for (const track of this.waits ? this.tracker.tracks : tracks) {
      const patch = await this.draw(frame, track);
      if (patch) drawn.set(track.number, patch);
    }
    this.patches = drawn;
    if (!drawn.size) return;
    this.late = performance.now() - start > PATIENCE_MS ? this.late + 1 : this.late < LATE ? 0 : LATE;
  }

  /** The cover grows at once, and shrinks slowly where the face has not changed: what comes and goes would be seen. */
  private async draw(frame: Bytes, { number, face }: Track): Promise<Patch | null> {
    const crop = Crop.aroundFace(face.landmarks, SIDE_PX), now = this.frames;
    if (!crop) return null;
    const { face: seen, hole: covered, outside } = await lookAt(frame, face, this.networks.cover), before = this.patches.get(number);
    const gone = before && mapBytes(before.hole, (value, at) => value && !covered.data[at]);
    const still = gone && movedLevels(seen, before.face, not(gone)) <= CHANGED_LEVELS;
    const left = still ? Math.max(HOLD ** (now - before.frame), HOLD_DRAWN) : 0;
    const cover = mapFloats(covered, (value, at) => Math.max(value, left && left * before!.cover.data[at]!));
    const hole = mapBytes(cover, (value) => value > 0.5), tooCovered = count(hole) / hole.data.length > LARGEST_SHARE;
    const fresh = before && mapBytes(hole, (value, at) => value && !before.hole.data[at]);
    const sudden = !fresh || movedLevels(seen, before.face, not(fresh)) > CHANGED_LEVELS;
    if (tooCovered || !any(hole)) return { frame: now, cover, hole, face: seen, drawn: floats(0, 0), shown: seen, tooCovered, sudden };
    const network = this.late < LATE ? this.networks.swift : this.networks.camera, missing = or(hole, outside), noise = new Float32Array(missing.data.length);
    const made = await fill(seen, missing, face.landmarks.map((point) => crop.toCrop(point)), noise, network, true);
    const way = before?.drawn.data.length ? Math.min(1, STILL + movedLevels(seen, before.face, or(covered, before.hole)) / MOVED_LEVELS) : 1;
    const drawn = floats(made.height, made.width, 3), shown = copyOf(made);
    for (let at = 0; at < shown.data.length; at++) {
      const old = way < 1 ? before!.drawn.data[at]! : 0;
      shown.data[at] = 0.5 + (drawn.data[at] = old + way * (made.data[at]! - old));
    }
    return { frame: now, cover, hole, face: seen, drawn, shown, tooCovered, sudden };
  }
}

/** How much of what is drawn a face shows in this frame: what is newly covered comes, and what no longer is goes, from its
 * edges, too, by a pixel in each frame. */
function stepped(before: Floats | undefined, { hole, sudden }: Patch): Floats {
  if (!before) return mapFloats(hole, (value) => value);
  const { data, width } = before;
  return mapFloats(hole, (covered, at) => {
    if (covered) return Math.min(1, data[at]! + (sudden ? 1 : RISE));
    let least = data[at]!;
    for (let row = at - width; least > 0 && row <= at + width; row += width) least = Math.min(least, data[row - 1] ?? 1, data[row] ?? 1, data[row + 1] ?? 1);
    return Math.max(0, least - FALL);
  });
}

const around = (one: Box, other: Box | null): Box => other === null ? one :
  [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[2], other[2]), Math.max(one[3], other[3])];

/** Mean change of the known part of a face, in grey levels. */
function movedLevels(face: Bytes, before: Bytes, hidden: Mask): number {
  let sum = 0, known = 0;
  for (let pixel = 0; pixel < hidden.data.length; pixel++) {
    if (hidden.data[pixel]) continue;
    for (let at = 3 * pixel; at < 3 * pixel + 3; at++) sum += Math.abs(face.data[at]! - before.data[at]!);
    known += 3;
  }
  return known ? sum / known : MOVED_LEVELS;
}
