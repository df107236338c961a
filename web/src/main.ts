/** The page: open a photo, see what was found, change the mask, complete, compare, download. */

import { askToken, takePhoto } from "./dialogs";
import { $, button, input, say } from "./dom";
import {
  CANCELLED, fromBase64, plain, Trouble, type Completed, type Detected, type Engine, type Face,
} from "./engine";
import { takeFiles, takeMasks } from "./files";
import { listenToKeys } from "./keys";
import { goLive } from "./live";
import { keep, local } from "./local/engine";
import { isTurnedWebp } from "./local/webp";
import { coverLayer, Mask, type Point } from "./mask";
import { nameOf, splitName } from "./names";
import { attach, type Desk } from "./paint";
import { chosen, listFaces, listMethods, listResults, markFaces, notesOn, showTrouble, type Piece } from "./panel";
import { cancel, doing, isWorking, work } from "./progress";
import { rest } from "./rest";
import { Stage, View } from "./stage";

interface Photo {
  file: Blob; stem: string; suffix: string; picture: ImageBitmap; faces: Face[]; covers: (HTMLCanvasElement | null)[];
  mask: Mask;
  /** The browser cannot show this format: a JPEG comes beside the file. */
  preview: boolean;
}
/** What was completed last, to be tried again, and what is to be completed on top of it. */
/** first: the number of the first sample that was drawn. */
interface Last { file: Blob; mask: Promise<Blob>; first: number; result: Blob | null; more: Mask | null }

/** `facefill page` marks its page; that of `facefill serve` has a server. */
const alone = document.documentElement.dataset.engine === "browser";
const engine: Engine = alone ? local : rest;
const view = new View();
let photo: Photo | null = null;
let last: Last | null = null;
let stages: Stage[] = [];
let whole = true;

// ---- what is seen

function mode(name: "empty" | "edit" | "result"): void {
  document.body.dataset.mode = name;
  $(".scroll").scrollTop = 0; // the results of long lists of methods would begin above the edge
}

/** The mask that the tools change now. */
function active(): Mask | null {
  return (document.body.dataset.mode === "result" ? last?.more : photo?.mask) ?? null;
}

function redraw(): void {
  for (const stage of stages) stage.redraw();
  $("#scale").textContent = `${Math.round(view.scale * 100)} %`;
}

function fit(): void {
  const stage = stages[0];
  if (!stage || !photo) return;
  whole = true;
  view.scale = stage.fitScale;
  view.x = photo.picture.width / 2;
  view.y = photo.picture.height / 2;
  redraw();
}

let nearest = -1;

/** Show the next face large. */
function showFace(): void {
  const stage = stages[0], faces = photo?.faces ?? [];
  if (!stage || !faces.length) return;
  nearest = (nearest + 1) % faces.length;
  const [x0, y0, x1, y1] = faces[nearest]!.box;
  whole = false;
  view.x = (x0 + x1) / 2;
  view.y = (y0 + y1) / 2;
  view.scale = Math.min(32, stage.sheet.clientWidth / (x1 - x0) / 1.8, stage.sheet.clientHeight / (y1 - y0) / 1.5);
  redraw();
  say(`Face ${nearest + 1}`);
}

function zoom(factor: number, at?: Point): void {
  const stage = stages.find((each) => each.sheet.matches(":hover")) ?? stages[0];
  if (!stage) return;
  const fixed = at ? stage.toPhoto(at.x, at.y) : { x: view.x, y: view.y };
  const scale = Math.min(32, Math.max(stage.fitScale / 2, view.scale * factor));
  view.x = fixed.x + (view.x - fixed.x) * view.scale / scale;
  view.y = fixed.y + (view.y - fixed.y) * view.scale / scale;
  view.scale = scale;
  whole = false;
  redraw();
}

function split(share: number): void {
  view.split = Math.min(1, Math.max(0, share));
  input("slider").value = String(view.split * 100);
  input("slider").setAttribute("aria-valuetext", `${Math.round(view.split * 100)} % of the result`);
  redraw();
}

function peek(on: boolean): void {
  view.peek = on && document.body.dataset.mode === "result";
  button("peek").setAttribute("aria-pressed", String(view.peek));
  redraw();
}

function show(next: Stage[]): void {
  stages = next;
  $("#columns").replaceChildren(...stages.map((stage) => stage.root));
  $("#columns").dataset.count = String(stages.length);
  for (const stage of stages) attach(stage, desk);
  requestAnimationFrame(() => { if (whole) fit(); else redraw(); });
}

function showEdit(): void {
  if (!photo) return;
  const stage = new Stage(photo.picture, view, "");
  stage.mask = photo.mask;
  stage.faces = photo.faces;
  mode("edit");
  show([stage]);
  maskChanged();
}

function maskChanged(): void {
  const mask = active();
  button("undo").disabled = !mask?.canUndo;
  button("redo").disabled = !mask?.canRedo;
  redraw();
  if (!photo || mask !== photo.mask) {
    button("again").hidden = !mask?.canUndo;
    return;
  }
  markFaces(mask.faces);
  const on = mask.faces.filter(Boolean).length;
  stages[0]?.sheet.setAttribute("aria-label", `Your photo, ${photo.faces.length} faces found, ${on} to be completed`);
}

// ---- hands

const desk: Desk = {
  tool: "hand",
  size: 24,
  get paints() { return active() !== null; },
  redraw, zoom, split, say,
  pressed(at) {
    const index = photo?.faces.findIndex(({ box, cover }) =>
      cover && at.x >= box[0] && at.x <= box[2] && at.y >= box[1] && at.y <= box[3]) ?? -1;
    if (photo && index >= 0 && document.body.dataset.mode === "edit") setFace(index, !photo.mask.faces[index]);
  },
};

function choose(tool: string): void {
  desk.tool = tool;
  document.body.dataset.toolNow = tool;
  for (const { pen } of stages) if (pen) Object.assign(pen, { tool, at: null, lasso: [] });
  for (const each of document.querySelectorAll<HTMLElement>("[data-tool]")) {
    each.setAttribute("aria-checked", String(each.dataset.tool === tool));
    each.tabIndex = each.dataset.tool === tool ? 0 : -1;
  }
  redraw();
}

function setSize(size: number): void {
  desk.size = Math.min(100, Math.max(2, size));
  input("size").value = String(desk.size);
  redraw();
}

function setFace(index: number, on: boolean): void {
  const face = photo?.faces[index];
  if (!photo || !face?.cover) return;
  photo.mask.setFace(index, on, photo.covers[index] ?? null, face.cover.x, face.cover.y);
  say(`Face ${index + 1} ${on ? "on" : "off"}`);
}

/** About a fiftieth of a face, so that one press is seen. */
function growStep(): number {
  const widest = Math.max(0, ...(photo?.faces ?? []).map(({ box }) => box[2] - box[0]));
  return Math.max(1, Math.round((widest || (photo?.picture.width ?? 0) / 4) / 50));
}

// ---- work

/** What is to be taken off. */
const kinds = (): string[] =>
  [...document.querySelectorAll<HTMLInputElement>('input[name="kind"]')].filter((box) => box.checked).map((box) => box.value);

/** Find the covers of the photo again, of the kinds that are chosen now. */
async function lookAgain(): Promise<void> {
  if (photo) await open(photo.file, photo.stem + photo.suffix);
}

async function open(file: Blob, name: string): Promise<void> {
  const [stem, suffix] = splitName(name);
  let picture = await isTurnedWebp(file) ? null : await createImageBitmap(file).catch(() => null);
  if (picture) begin({ file, stem, suffix, picture, preview: false });
  const found = await work("Finding faces", async (signal) => {
    const ask = (preview: boolean): Promise<Detected> => engine.detect(file, kinds(), preview, signal, doing);
    let answer = await ask(!picture);
    if (picture && (picture.width !== answer.width || picture.height !== answer.height)) answer = await ask(true);
    const covers = await Promise.all(answer.faces.map(({ cover }) =>
      cover ? coverLayer(fromBase64(cover.png, "image/png")) : null));
    return { answer, covers };
  });
  if (!found) return;
  const { answer, covers } = found;
  if (answer.preview) {
    picture = await createImageBitmap(fromBase64(answer.preview, "image/jpeg"));
    begin({ file, stem, suffix, picture, preview: true });
  }
  if (!photo || !picture || photo.picture !== picture) return;
  photo.faces = answer.faces;
  button("near").disabled = !answer.faces.length;
  photo.covers = covers;
  photo.mask.faces = answer.faces.map(() => false);
  listFaces(picture, answer.faces, setFace);
  answer.faces.forEach((face, index) => {
    if (face.cover && !face.warnings.length) photo!.mask.setFace(index, true, covers[index]!, face.cover.x, face.cover.y);
  });
  photo.mask.begin();
  showEdit();
  const covered = answer.faces.filter((face) => face.cover).length;
  say(`${answer.faces.length} faces found, ${covered} covered`);
}

function begin(opened: Pick<Photo, "file" | "stem" | "suffix" | "picture" | "preview">): void {
  const mask = new Mask(opened.picture.width, opened.picture.height, maskChanged);
  photo = { ...opened, faces: [], covers: [], mask };
  last = null;
  whole = true;
  choose("hand");
  listFaces(opened.picture, [], setFace);
  $("#faces-none").textContent = "Looking …";
  showEdit();
}

async function complete(): Promise<void> {
  if (!photo || isWorking()) return;
  if (photo.mask.isEmpty()) {
    showTrouble(new Trouble(0, "Nothing is marked yet.", "Switch a face on, or brush over what should be completed."));
    return;
  }
  await run({ file: photo.file, mask: photo.mask.png(), first: 0, result: null, more: null });
}

/** Complete what was brushed on the result, on top of it. */
async function completeMore(): Promise<void> {
  if (!last?.result || !last.more || last.more.isEmpty() || isWorking()) return;
  await run({ file: last.result, mask: last.more.png(), first: 0, result: null, more: null });
}

/** The same hole with the next samples. */
async function retry(): Promise<void> {
  if (!last || isWorking()) return;
  await run({ ...last, first: last.first + wanted() });
}

async function run(next: Last): Promise<void> {
  const mine = photo;
  if (!mine) return;
  const failures: [string, Trouble][] = [], answers: Completed[] = [], methods = chosen();
  const done = await work("Completing", async (signal) => {
    const mask = await next.mask;
    for (const [index, method] of methods.entries()) {
      const before = methods.length > 1 ? `${index + 1} of ${methods.length}: ` : "";
      try {
        answers.push(await engine.complete({
          photo: next.file, mask, method, seed: Number(input("seed").value || "0"),
          ...method.varies ? { samples: wanted(), first: next.first } : { samples: 1, first: 0 },
          largeHole: input("large").checked, preview: mine.preview,
        }, signal, (what, share) => doing(before + what, share)));
      } catch (error) {
        if (!(error instanceof Trouble) || error === CANCELLED || methods.length === 1) throw error;
        failures.push([method.name, error]);
      }
    }
    return true;
  });
  if (done && photo === mine && answers.length) await showResult(mine, next, answers, failures);
  else if (failures.length) showTrouble(failures[0]![1]);
}

const wanted = (): number => Number(input("samples").value || "1");

async function showResult(of: Photo, asked: Last, answers: Completed[], failures: [string, Trouble][]): Promise<void> {
  const pieces: Piece[] = [], next: Stage[] = [];
  const add = async (title: string, file: Blob, shown: Blob, name: string, seconds: number): Promise<void> => {
    const stage = new Stage(of.picture, view, title);
    stage.after = await createImageBitmap(shown);
    stage.sheet.setAttribute("aria-label", `${title || "Completed photo"}: the result left of the line, the original right of it`);
    next.push(stage);
    if (name) pieces.push({ title, file, name, seconds });
  };
  const several = answers.length > 1;
  for (const answer of answers) {
    const files = answer.samples.length ? answer.samples : [answer.photo], method = plain(answer.method);
    const seconds = Object.values(answer.timings_ms).reduce((sum, spent) => sum + spent) / 1000;
    for (const [index, data] of files.entries()) {
      const file = fromBase64(data, answer.media_type), sample = files.length > 1 ? index + 1 : 0;
      const shown = answer.preview && !index ? fromBase64(answer.preview, "image/jpeg") : file;
      const title = several || sample ? `${method}${sample ? ` ${sample}` : ""}` : "";
      await add(title, file, shown, nameOf(of, file.type, several ? answer.method : "", sample), seconds);
    }
    if (answer.spread) {
      const spread = fromBase64(answer.spread, "image/png");
      await add(`${method}: where they differ`, spread, spread, "", 0);
    }
  }
  last = { ...asked, result: null, more: null };
  if (next.length === 1) {
    last.result = pieces[0]!.file;
    next[0]!.mask = last.more = new Mask(of.picture.width, of.picture.height, maskChanged);
  }
  listResults(pieces, answers, failures, notesOn(of.faces, of.mask.faces));
  $("#honest span").textContent = answers[0]!.invented;
  button("retry").hidden = !chosen().some((method) => method.varies);
  choose("hand");
  mode("result");
  document.body.dataset.columns = String(next.length);
  split(beside(answers[0]!, of.picture.width));
  show(next);
  maskChanged();
}

/** Where the line starts: right of all that was completed, so that the result is what is seen first. */
function beside(answer: Completed, width: number): number {
  const rights = answer.faces.flatMap(({ cover }) => cover ? [cover.x + cover.width] : []);
  return rights.length ? Math.min(0.97, Math.max(...rights) / width + 0.05) : 0.97;
}

// ---- the page's own parts

takeFiles((file, name) => void open(file, name));
takeMasks(() => active(), showTrouble);
button("photograph").addEventListener("click", () => void takePhoto().then(
  (file) => file && open(file, file.name),
  () => showTrouble(new Trouble(0, "The camera cannot be used here.", "Allow it in the browser, or choose a photo.")),
));

button("go-live").hidden = !("requestVideoFrameCallback" in HTMLVideoElement.prototype);
button("go-live").addEventListener("click", () => void goLive(engine));

for (const box of document.querySelectorAll<HTMLInputElement>('input[name="kind"]')) {
  box.addEventListener("change", () => {
    if (kinds().length) void lookAgain();
    else box.checked = true; // nothing to take off is no wish
  });
}

const TOOLS = ["hand", "brush", "erase", "lasso"];
for (const tool of document.querySelectorAll<HTMLElement>("[data-tool]")) {
  tool.addEventListener("click", () => choose(tool.dataset.tool!));
  tool.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    choose(TOOLS[(TOOLS.indexOf(desk.tool) + way + TOOLS.length) % TOOLS.length]!);
    $(`[data-tool="${desk.tool}"]`).focus();
  });
}
input("size").addEventListener("input", () => setSize(Number(input("size").value)));
input("slider").addEventListener("input", () => split(Number(input("slider").value) / 100));
const press = {
  in: () => zoom(1.4), out: () => zoom(1 / 1.4), fit, near: showFace, complete: () => void complete(), edit: showEdit,
  again: () => void completeMore(), retry: () => void retry(), cancel,
  undo: () => active()?.undo(), redo: () => active()?.redo(),
  grow: () => active()?.grow(growStep()), shrink: () => active()?.grow(-growStep()), clear: () => active()?.clear(),
};
for (const [id, act] of Object.entries(press)) button(id).addEventListener("click", act);
const hold = button("peek");
hold.addEventListener("pointerdown", () => peek(true));
for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) hold.addEventListener(name, () => peek(false));
hold.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press is what it is for
listenToKeys({ ...press, choose, peek, size: (by) => setSize(by(desk.size)), paints: () => desk.paints });
new ResizeObserver(() => { if (whole) fit(); else redraw(); }).observe($("#stage"));

async function loadMethods(): Promise<void> {
  try {
    listMethods(await engine.methods());
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (error.status === 401) await askToken().then(loadMethods);
    else showTrouble(error);
  }
}

/** A server on another machine is sent the photo: nothing else may be promised there. */
if (!alone && !/^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname)) {
  $(".promise").textContent = `Photos are sent to ${location.host} and not kept.`;
  $("#kept").textContent = `Your photo is sent to ${location.host}, to nobody else, and is not kept.`;
}
choose("hand");
mode("empty");
if (alone) void keep();
void loadMethods();
