/** The engine in the browser: takes orders one after the other, and works on them away from the page. */

import type { Completed, Detected, Face as Said } from "../engine";
import { any, boundingBox, bytes, cut, paste, type Bytes, type Mask } from "./arrays";
import { findCover, type Cover } from "./cover";
import { Crop } from "./crop";
import { draw } from "./draw";
import { base64, encode, readMask, readPhoto, whiteOn, writePhoto, type Photo } from "./files";
import { findFaces, type Face } from "./finder";
import { lend } from "./lend";
import { load } from "./load";
import type { Answer, Contents, Order } from "./messages";
import type { Network } from "./network";
import { LARGEST_SHARE, percent, placeOf, plan, Refusal, SIDE_PX, tooSmall, type PlannedFace } from "./plan";
import { watch } from "./watch";

export const HONEST = "What was hidden is invented: it shows what could be there, and is no evidence of anyone's identity.";
const say = (answer: Answer): void => postMessage(answer);

class Cancelled extends Error {}
const cancelled = new Set<number>();
let base = "", contents: Contents | null = null, networks: ReturnType<typeof load> | null = null, turn: Promise<unknown> = Promise.resolve();
/** The network that draws for slow machines, once somebody has started the live camera. */
let camera: Promise<Network> | null = null;
/** The photo that was opened last, and its faces. */
let last: { of: Blob; photo: Photo; faces: Face[] } | null = null;

/** Let messages in, and stop where one of them says so. */
async function breathe(id: number, doing: string, share: number | null = null): Promise<void> {
  say({ id, doing, share });
  await new Promise((resolve) => { setTimeout(resolve); });
  if (cancelled.delete(id)) throw new Cancelled();
}

async function ready(id: number): ReturnType<typeof load> {
  networks ??= load(base, contents!, (share) => say({ id, doing: "Loading the networks, once", share })).catch((error: unknown) => {
    networks = null;
    throw error;
  });
  return await networks;
}

async function look(id: number, blob: Blob): Promise<NonNullable<typeof last>> {
  const { finder, second_look: second } = await ready(id);
  await breathe(id, "Finding faces");
  if (last?.of.size === blob.size) {
    const [mine, theirs] = [last.photo.file, new Uint8Array(await blob.arrayBuffer())];
    if (mine.every((value, at) => value === theirs[at])) return last;
  }
  last = null;
  const photo = await readPhoto(blob);
  return last = { of: blob, photo, faces: await findFaces(photo.pixels, finder, second) };
}

async function detect({ id, photo: blob, kinds, preview }: Order & { kind: "detect" }): Promise<Detected> {
  const start = performance.now(), { photo, faces } = await look(id, blob), { cover } = await ready(id), found: Said[] = [];
  for (const [index, face] of faces.entries()) {
    await breathe(id, "Finding what covers them", index / faces.length);
    found.push(await saidOf(face, await findCover(photo.pixels, face, cover, kinds), photo.pixels));
  }
  const { width, height } = photo.pixels, warnings = [...photo.notes, ...faces.length ? [] : ["no face found: mark the hole yourself"]];
  return {
    width, height, format: photo.format, faces: found, warnings, timings_ms: { looking: performance.now() - start },
    preview: preview ? base64(await encode(photo.pixels, "image/jpeg")) : null,
  };
}

async function saidOf(face: Face, cover: Cover, { height, width }: Bytes): Promise<Said> {
  let warning = tooSmall(face);
  const covered = !warning && any(cover.missing), mask = bytes(height, width);
  paste(mask, cover.missing, cover.box[0], cover.box[1]);
  const share = covered ? Crop.aroundFace(face.landmarks, SIDE_PX)!.share(mask) : 0;
  if (share > LARGEST_SHARE) warning = `${placeOf(face)}: ${percent(share)} of it is covered, more than ${percent(LARGEST_SHARE)}`;
  return { ...shapeOf(face), cover: covered ? await windowOf(cover.missing, cover.box[0], cover.box[1]) : null, covers: cover.kinds,
    left_on: cover.leftOn, cut: cover.cut, warnings: warning ? [warning] : [] };
}

const tenth = (value: number): number => Math.round(value * 10) / 10;

function shapeOf(face: Face): Pick<Said, "box" | "landmarks" | "score"> {
  return {
    box: face.box.map(tenth) as Said["box"], landmarks: face.landmarks.map(([x, y]) => [tenth(x), tenth(y)]),
    score: Math.round(face.score * 1000) / 1000,
  };
}

/** The rectangle that holds all that is missing; the mask's corner lies at (left, top) of the photo. */
async function windowOf(mask: Mask, left: number, top: number): Promise<NonNullable<Said["cover"]>> {
  const box = boundingBox(mask), part = cut(mask, box);
  return { x: left + box[0], y: top + box[1], width: part.width, height: part.height, png: base64(await encode(whiteOn(part), "image/png")) };
}

async function complete({ id, photo: blob, mask: drawn, seed, samples, first, largeHole, preview }: Order & { kind: "complete" }): Promise<Completed> {
  const start = performance.now(), mask = await readMask(drawn), { photo, faces } = await look(id, blob), { swift } = await ready(id);
  const { width, height } = photo.pixels;
  if (mask.width !== width || mask.height !== height) {
    throw new Refusal(`a mask of ${width}x${height}`, `${mask.width}x${mask.height}`, "draw it on the photo itself");
  }
  const made = plan(photo.pixels, mask, faces, largeHole), looked = performance.now(), by = { method: "swift", weights: contents!.weights.swift!.sha256, seed };
  const files: Uint8Array[] = [], all = Math.max(made.tasks.length, 1) * samples;
  let done = 0, type = "", notes: string[] = [], shown = photo.pixels;
  for (let sample = 0; sample < samples; sample++) {
    await breathe(id, "Completing", done / all);
    const completed = await draw(made, swift, seed, first + sample, async () => await breathe(id, "Completing", ++done / all));
    const coded = await writePhoto(photo, completed, made.mask, by);
    files.push(coded.file);
    [type, notes] = [coded.type, coded.notes];
    if (!sample) shown = completed;
  }
  return {
    width, height, format: photo.format, warnings: [...made.warnings, ...notes], faces: await Promise.all(made.faces.map(plannedOf)),
    timings_ms: { looking: looked - start, completing: performance.now() - looked },
    preview: preview ? base64(await encode(shown, "image/jpeg")) : null, photo: base64(files[0]!), media_type: type,
    mask: base64(await encode(whiteOn(made.mask), "image/png")), method: by.method, seed, weights_sha256: by.weights, invented: HONEST,
    samples: samples > 1 ? files.map(base64) : [], spread: null, sample_distance: null,
  };
}

async function plannedOf({ face, box, missing, warnings }: PlannedFace): Promise<Said> {
  const cover = any(missing) ? await windowOf(missing, box[0], box[1]) : null;
  return { ...shapeOf(face), cover, covers: [], left_on: [], cut: false, warnings };
}

async function lendTo({ id, port }: Order & { kind: "lend" }): Promise<null> {
  const networks = await ready(id);
  camera ??= networks.openCamera((share) => say({ id, doing: "Loading the camera's network, once", share })).catch((error: unknown) => {
    camera = null;
    throw error;
  });
  lend({ ...networks, camera: await camera }, port);
  return null;
}

async function obey(order: Order & { id: number; kind: "detect" | "complete" | "lend" }): Promise<void> {
  const { id } = order;
  try {
    say({ id, done: order.kind === "detect" ? await detect(order) : order.kind === "lend" ? await lendTo(order) : await complete(order) });
  } catch (error) {
    if (error instanceof Cancelled) say({ id, cancelled: true });
    else if (error instanceof Refusal) say({ id, what: `Expected ${error.expected}, but got ${error.got}.`, fix: `${error.fix}.` });
    else say({ id, what: `The page failed: ${String(error)}.`, fix: "Load it again; a smaller photo needs less memory." });
  }
}

onmessage = ({ data: order }: MessageEvent<Order>) => {
  if (order.kind === "begin") ({ base, contents } = order);
  else if (order.kind === "cancel") cancelled.add(order.id);
  else if (order.kind === "watch") void watch(base, order.port);
  else turn = turn.then(() => obey(order));
};
