/** When a completion is likely to be bad, as `facefill.runtime.face_warnings` says it. */

import type { Bytes, Mask } from "./arrays";
import { Crop } from "./crop";
import type { Face } from "./finder";
import { grey } from "./opencv";

const TURNED = 0.3, WEAK = 0.87, CUT_OFF = 0.12, MOVED = 0.075, DARK_LEVELS = 45, SIDE_PX = 64;

/** In words that follow "it is"; empty for most faces. */
export function doubtsOf(face: Face, photo: Bytes, missing: Mask): string[] {
  const crop = Crop.aroundFace(face.landmarks, SIDE_PX)!, outside = crop.outside(photo.height, photo.width);
  const hidden = crop.takeMask(missing), shown = grey(crop.take(photo));
  let oval = 0, off = 0, seen = 0, sum = 0;
  for (let at = 0; at < shown.data.length; at++) {
    const x = (at % SIDE_PX + 0.5) / SIDE_PX, y = (Math.floor(at / SIDE_PX) + 0.5) / SIDE_PX;
    if (((x - 0.5) / 0.27) ** 2 + ((y - 0.555) / 0.365) ** 2 >= 1) continue;
    oval++;
    if (outside.data[at]) off++;
    else if (!hidden.data[at]) [seen, sum] = [seen + 1, sum + shown.data[at]!];
  }
  const reasons: string[] = [];
  if (turnOf(face) > TURNED) reasons.push("turned far to the side");
  if (off / oval > CUT_OFF) reasons.push(`cut off by the photo's edge (${Math.round(100 * off / oval)}%)`);
  if (seen && sum / seen < DARK_LEVELS) reasons.push("very dark");
  if (face.score < WEAK || face.moved > MOVED) reasons.push(`hard to make out (score ${face.score.toFixed(2)})`);
  return reasons;
}

/** How far a face is turned to a side: the nose's distance from the middle along the eyes' line, in eye distances. */
function turnOf({ landmarks }: Face): number {
  const [left, right, nose, one, other] = landmarks as [Face["landmarks"][0], ...Face["landmarks"]];
  const across = [right![0] - left[0], right![1] - left[1]] as const;
  const beside = [0, 1].map((axis) => nose![axis as 0]! - (left[axis as 0]! + right![axis as 0]! + one![axis as 0]! + other![axis as 0]!) / 4);
  return Math.abs(beside[0]! * across[0] + beside[1]! * across[1]) / Math.max(across[0] ** 2 + across[1] ** 2, 1e-9);
}
