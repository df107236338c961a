/** The page: open a photo, see what was found, change the mask, complete, compare, download. */

import {
  CANCELLED, fromBase64, get, post, Trouble, type Completed, type Face, type Method, type Picture,
} from "./api";
import { askToken, takePhoto } from "./dialogs";
import { $, button, input, say } from "./dom";
import { coverLayer, Mask, type Point } from "./mask";
import { attach, type Desk } from "./paint";
import { chosen, listFaces, listMethods, listResults, markFaces, showTrouble, type Piece } from "./panel";
import { cancel, doing, isWorking, work } from "./progress";
import { Stage, View } from "./stage";

interface Photo {
  file: Blob; stem: string; picture: ImageBitmap; faces: Face[]; covers: (HTMLCanvasElement | null)[]; mask: Mask;
  /** The browser cannot show this format: the server sends a JPEG beside the file. */
  preview: boolean;
}

const SUFFIXES: Record<string, string> = {
  "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif", "image/tiff": "tif",
  "image/bmp": "bmp", "image/heic": "heic",
};
const view = new View();
let photo: Photo | null = null;
let stages: Stage[] = [];
let whole = true;

// ---- what is seen

function mode(name: "empty" | "edit" | "result"): void {
  document.body.dataset.mode = name;
  $(".scroll").scrollTop = 0; // the results of long lists of methods would begin above the edge
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
  redraw();
}

function show(next: Stage[]): void {
  stages = next;
  $("#columns").replaceChildren(...stages.map((stage) => stage.root));
  $("#columns").dataset.count = String(stages.length);
  for (const stage of stages) attach(stage, desk);
  requestAnimationFrame(() => whole ? fit() : redraw());
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
  if (!photo) return;
  button("undo").disabled = !photo.mask.canUndo;
  button("redo").disabled = !photo.mask.canRedo;
  markFaces(photo.mask.faces);
  const on = photo.mask.faces.filter(Boolean).length;
  stages[0]?.sheet.setAttribute("aria-label", `Your photo, ${photo.faces.length} faces found, ${on} to be completed`);
  redraw();
}

// ---- hands

const desk: Desk = {
  tool: "hand",
  size: 24,
  get paints() { return document.body.dataset.mode === "edit"; },
  redraw, zoom, split, say,
  pressed(at) {
    const index = photo?.faces.findIndex(({ box, cover }) =>
      cover && at.x >= box[0] && at.x <= box[2] && at.y >= box[1] && at.y <= box[3]) ?? -1;
    if (photo && index >= 0 && desk.paints) setFace(index, !photo.mask.faces[index]);
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

async function open(file: Blob, name: string): Promise<void> {
  const stem = name.replace(/\.[^.]*$/, "") || "photo";
  let picture = await createImageBitmap(file).catch(() => null);
  if (picture) begin({ file, stem, picture, preview: false });
  const found = await work("Finding faces", async (signal) => {
    const ask = (preview: boolean): Promise<Picture> =>
      post<Picture>("/v1/detect", { photo: file, preview: String(preview) }, signal, doing);
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
    begin({ file, stem, picture, preview: true });
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

function begin(opened: Pick<Photo, "file" | "stem" | "picture" | "preview">): void {
  const mask = new Mask(opened.picture.width, opened.picture.height, maskChanged);
  photo = { ...opened, faces: [], covers: [], mask };
  whole = true;
  listFaces(opened.picture, [], setFace);
  $("#faces-none").textContent = "Looking …";
  showEdit();
}

async function complete(): Promise<void> {
  const mine = photo;
  if (!mine || isWorking()) return;
  if (mine.mask.isEmpty()) {
    showTrouble(new Trouble(0, "Nothing is marked yet.", "Switch a face on, or brush over what should be completed."));
    return;
  }
  const failures: [string, Trouble][] = [], answers: Completed[] = [];
  const done = await work("Completing", async (signal) => {
    const mask = await mine.mask.png(), methods = chosen();
    for (const [index, method] of methods.entries()) {
      const before = methods.length > 1 ? `${method.name.replaceAll("_", " ")} (${index + 1} of ${methods.length}): ` : "";
      try {
        answers.push(await post<Completed>("/v1/complete", {
          photo: mine.file, mask, method: method.name, seed: input("seed").value || "0",
          samples: method.varies ? input("samples").value || "1" : "1", large_hole: String(input("large").checked),
          preview: String(mine.preview),
        }, signal, (what, share) => doing(before + what, share)));
      } catch (error) {
        if (!(error instanceof Trouble) || error === CANCELLED || methods.length === 1) throw error;
        failures.push([method.name, error]);
      }
    }
    return true;
  });
  if (done && photo === mine && answers.length) await showResult(mine, answers, failures);
  else if (failures.length) showTrouble(failures[0]![1]);
}

async function showResult(of: Photo, answers: Completed[], failures: [string, Trouble][]): Promise<void> {
  const pieces: Piece[] = [], next: Stage[] = [];
  const add = async (title: string, file: Blob, shown: Blob, stem: string, seconds: number): Promise<void> => {
    const stage = new Stage(of.picture, view, title);
    stage.after = await createImageBitmap(shown);
    stage.sheet.setAttribute("aria-label", `${title || "Completed photo"}: before on the left, after on the right`);
    next.push(stage);
    if (stem) pieces.push({ title, file, name: `${stem}.${SUFFIXES[file.type] ?? "jpg"}`, seconds });
  };
  const many = answers.length > 1 || answers.some((answer) => answer.samples.length > 1);
  for (const answer of answers) {
    const files = answer.samples.length ? answer.samples : [answer.photo], method = answer.method.replaceAll("_", " ");
    const seconds = Object.values(answer.timings_ms).reduce((sum, spent) => sum + spent) / 1000;
    for (const [index, data] of files.entries()) {
      const file = fromBase64(data, answer.media_type), sample = files.length > 1 ? ` ${index + 1}` : "";
      const shown = answer.preview && !index ? fromBase64(answer.preview, "image/jpeg") : file;
      const suffix = many ? `-${answer.method}${sample.trim() && `-${sample.trim()}`}` : "";
      await add(many ? method + sample : "", file, shown, `${of.stem}-completed${suffix}`, seconds);
    }
    if (answer.spread) {
      const spread = fromBase64(answer.spread, "image/png");
      await add(`${method}: where they differ`, spread, spread, "", 0);
    }
  }
  listResults(pieces, answers, failures);
  $("#honest span").textContent = answers[0]!.invented;
  mode("result");
  split(beside(answers[0]!, of.picture.width));
  show(next);
}

/** Where the line starts: left of all that was completed, so that the result is what is seen first. */
function beside(answer: Completed, width: number): number {
  const lefts = answer.faces.flatMap(({ cover }) => cover ? [cover.x] : []);
  return lefts.length ? Math.max(0.03, Math.min(...lefts) / width - 0.05) : 0.5;
}

// ---- the page's own parts

const pickFile = (): void => input("file").click();

button("pick").addEventListener("click", pickFile);
button("new").addEventListener("click", pickFile);
button("photograph").addEventListener("click", () => void takePhoto().then(
  (file) => file && open(file, file.name),
  () => showTrouble(new Trouble(0, "The camera cannot be used here.", "Allow it in the browser, or choose a photo.")),
));
input("file").addEventListener("change", () => {
  const file = input("file").files?.[0];
  if (file) void open(file, file.name);
  input("file").value = "";
});
input("mask-input").addEventListener("change", () => {
  const file = input("mask-input").files?.[0];
  input("mask-input").value = "";
  if (!file || !photo) return;
  const { mask, picture } = photo;
  void createImageBitmap(file).then((bitmap) => {
    if (bitmap.width !== picture.width || bitmap.height !== picture.height) {
      throw new Trouble(0, `The mask has ${bitmap.width} × ${bitmap.height} pixels, the photo ${picture.width} × ${picture.height}.`,
        "Draw it on the photo itself; masks are never resized.");
    }
    mask.load(bitmap);
  }).catch((error: unknown) => showTrouble(error instanceof Trouble ? error
    : new Trouble(0, "That is no picture this browser can read.", "Save the mask as PNG.")));
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData?.files ?? []][0];
  if (file) void open(file, file.name || "photo.png");
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.dataset.dragging = "yes";
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) delete document.body.dataset.dragging; });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  delete document.body.dataset.dragging;
  const file = event.dataTransfer?.files[0];
  if (file) void open(file, file.name);
});

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
const press: Record<string, () => void> = {
  in: () => zoom(1.4), out: () => zoom(1 / 1.4), fit, near: showFace, complete: () => void complete(), edit: showEdit,
  cancel, undo: () => photo?.mask.undo(), redo: () => photo?.mask.redo(),
  grow: () => photo?.mask.grow(growStep()), shrink: () => photo?.mask.grow(-growStep()),
  clear: () => photo?.mask.clear(), "mask-file": () => input("mask-input").click(),
};
for (const [id, act] of Object.entries(press)) button(id).addEventListener("click", act);

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target instanceof HTMLInputElement && event.target.type === "number";
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "z" && desk.paints) press[event.shiftKey ? "redo" : "undo"]!();
    else if (event.key === "Enter" && desk.paints) press.complete!();
    else return;
    event.preventDefault();
    return;
  }
  if (typing || event.altKey) return;
  if (event.key === "Escape") cancel();
  else if (event.key === "+" || event.key === "=") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") fit();
  else if (event.key === "f") showFace();
  else if (!desk.paints) return;
  else if ("hbel".includes(event.key) && event.key.length === 1) choose(TOOLS["hbel".indexOf(event.key)]!);
  else if (event.key === "[") setSize(desk.size * 0.8);
  else if (event.key === "]") setSize(desk.size * 1.25 + 1);
  else if (event.key === "g") press.grow!();
  else if (event.key === "s") press.shrink!();
});
new ResizeObserver(() => { if (whole) fit(); else redraw(); }).observe($("#stage"));

async function loadMethods(): Promise<void> {
  try {
    listMethods(await get<Method[]>("/v1/methods"), () => undefined);
  } catch (error) {
    if (error instanceof Trouble && error.status === 401) await askToken().then(loadMethods);
    else showTrouble(new Trouble(0, "The server does not answer.", "See whether it still runs: facefill serve."));
  }
}

choose("hand");
mode("empty");
void loadMethods();
