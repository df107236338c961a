/** The side panel: faces, methods, what was completed, what went wrong. */

import { KINDS, plain, type Completed, type Face, type Method, type Trouble } from "./engine";
import { $, button, canvas, el, input, say } from "./dom";

export function showTrouble(trouble: Trouble | null): void {
  $("#trouble").hidden = !trouble;
  $("#trouble-what").textContent = trouble?.what ?? "";
  $("#trouble-fix").textContent = trouble?.fix ?? "";
}
button("trouble-close").addEventListener("click", () => showTrouble(null));

/** A row for each face, with its picture and a switch. */
export function listFaces(picture: ImageBitmap, faces: Face[], toggle: (index: number, on: boolean) => void): void {
  const rows = faces.map((face, index) => {
    const box = el("input", { type: "checkbox", id: `face-${index}` });
    box.disabled = !face.cover;
    box.addEventListener("change", () => toggle(index, box.checked));
    const state = face.warnings[0] ?? stateOf(face);
    return el("li", {}, el("label", { for: box.id }, thumbnail(picture, face),
      el("span", {}, el("strong", {}, `Face ${index + 1}`), el("small", {}, state)), box));
  });
  $("#faces ul").replaceChildren(...rows);
  $("#faces-none").textContent = faces.length ? "" : "None found yet. Brush over what should be completed: it need not be a face.";
}

function stateOf({ cover, covers, left_on: left, cut }: Face): string {
  const named = (kinds: string[]): string => kinds.map((kind) => KINDS[kind] ?? kind).join(", ");
  const stays = left.length ? [`stays on: ${named(left)}`] : [];
  if (!cover) return stays[0] ?? "nothing to take off";
  return [covers.length ? named(covers) : "covered", ...stays, ...cut ? [GOES_ON] : []].join("; ");
}

const GOES_ON = "what looks like its cover goes on where the hole ends";

/** What is said of the faces that were completed. */
export function notesOn(faces: Face[], on: boolean[]): string[] {
  return faces.flatMap((face, index) => face.cut && on[index] ? [`Face ${index + 1}: ${GOES_ON}: look there.`] : []);
}

export function markFaces(on: boolean[]): void {
  on.forEach((value, index) => {
    const box = document.querySelector<HTMLInputElement>(`#face-${index}`);
    if (box) box.checked = value;
  });
}

function thumbnail(picture: ImageBitmap, face: Face): HTMLCanvasElement {
  const [sheet, ink] = canvas(96, 96), [x0, y0, x1, y1] = face.box;
  const side = Math.max(x1 - x0, y1 - y0) * 1.25;
  ink.imageSmoothingQuality = "high";
  ink.drawImage(picture, (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, side, 0, 0, 96, 96);
  sheet.setAttribute("aria-hidden", "true");
  return sheet;
}

const THUMBNAILS = import.meta.glob<string>("./thumbnails/*.jpg", { eager: true, query: "?url", import: "default" });
let methods: Method[] = [];

/** The first method stands by itself; the others are there to be compared with it. */
export function listMethods(all: Method[]): void {
  methods = all;
  const [first, ...others] = all;
  $("#recommended").replaceChildren(...first ? [methodRow(first, true)] : []);
  const papers = others.filter((method) => method.kind !== "classical");
  $("#methods").replaceChildren(...papers.map((method) => methodRow(method, false)));
  $("#classical").replaceChildren(...others.filter((method) => !papers.includes(method)).map((method) => methodRow(method, false)));
  tellMethods();
}

function methodRow(method: Method, recommended: boolean): HTMLLIElement {
  const box = el("input", { type: "checkbox", value: method.name, name: "method" });
  box.checked = recommended;
  box.disabled = !method.usable;
  box.addEventListener("change", () => { keepOne(box); tellMethods(); });
  const about = method.usable ? recommended ? "recommended" : `${method.title} · ${method.paper}`
    : method.needs ? `needs facefill[${method.needs}]` : "no weights in this installation";
  const thumbnail = THUMBNAILS[`./thumbnails/${method.name}.jpg`];
  const picture = thumbnail ? [el("img", { src: thumbnail, alt: "", width: "48", height: "48", loading: "lazy" })] : [];
  return el("li", {}, el("label", {}, box, ...picture, el("span", {}, el("strong", {}, plain(method.name)), el("small", {}, about))));
}

function boxes(): HTMLInputElement[] {
  return [...document.querySelectorAll<HTMLInputElement>('input[name="method"]')];
}

function keepOne(box: HTMLInputElement): void {
  if (!boxes().some((other) => other.checked)) box.checked = true;
}

function tellMethods(): void {
  const count = chosen().length;
  $("#chosen").textContent = count > 1 ? `${count} methods` : chosen()[0]?.name === methods[0]?.name ? "" : "1 method";
  input("samples").disabled = !chosen().some((method) => method.varies);
}

export function chosen(): Method[] {
  const names = boxes().filter((box) => box.checked).map((box) => box.value);
  return methods.filter((method) => names.includes(method.name));
}

export interface Piece { title: string; file: Blob; name: string; seconds: number }

/** Downloads, and what the server has to say about each method's answer. */
export function listResults(pieces: Piece[], answers: Completed[], failures: [string, Trouble][], notes: string[]): void {
  const rows = pieces.map((piece, index) => {
    const link = el("a", {
      class: index ? "download" : "download main", href: URL.createObjectURL(piece.file), download: piece.name,
    }, pieces.length > 1 ? `Download: ${piece.title}` : "Download");
    return el("li", {}, link, el("small", {}, `${piece.name}, ${piece.seconds.toFixed(1)}\u00a0s`));
  });
  const said = new Set([...notes, ...answers.flatMap((answer) => answer.warnings)]);
  const more = [...said].map((text) => el("li", { class: "note" }, text));
  for (const answer of answers) {
    if (answer.sample_distance !== null) {
      const share = (answer.sample_distance * 100).toFixed(1);
      more.push(el("li", { class: "note" }, `${plain(answer.method)}: two samples differ by ${share} % on average.`));
    }
  }
  for (const [name, trouble] of failures) more.push(el("li", { class: "note bad" }, `${plain(name)}: ${trouble.what} ${trouble.fix}`));
  for (const old of document.querySelectorAll<HTMLAnchorElement>("#notes a")) URL.revokeObjectURL(old.href);
  $("#notes").replaceChildren(...rows, ...more);
  say(`Completed. ${[...said].join(" ")}`);
}
