/** How photos and masks come in: chosen, dropped, pasted, or one of the samples. */

import { $, button, el, input } from "./dom";
import { Trouble } from "./engine";
import type { Mask } from "./mask";
import cloth from "./samples/astronaut-cloth.jpg";
import sunglasses from "./samples/astronaut-sunglasses.jpg";
import surgical from "./samples/astronaut-surgical.jpg";

const SAMPLES: [url: string, name: string, title: string][] = [
  [surgical, "astronaut-surgical.jpg", "Surgical mask"], [cloth, "astronaut-cloth.jpg", "Cloth mask"],
  [sunglasses, "astronaut-sunglasses.jpg", "Sunglasses"],
];

type Taken = (file: Blob, name: string) => void;

export function takeFiles(taken: Taken): void {
  for (const id of ["pick", "new"]) button(id).addEventListener("click", () => input("file").click());
  input("file").addEventListener("change", () => {
    const file = input("file").files?.[0];
    if (file) taken(file, file.name);
    input("file").value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData?.files ?? []][0];
    if (file) taken(file, file.name || "photo.png");
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
    if (file) taken(file, file.name);
  });
  $("#samples-here").append(...SAMPLES.map(([url, name, title]) => {
    const one = el("button", { type: "button", class: "sample" },
      el("img", { src: url, alt: "", width: "84", height: "84" }), el("span", {}, title));
    one.addEventListener("click", () => void fetch(url).then((answer) => answer.blob()).then((file) => taken(file, name)));
    return one;
  }));
}

/** Masks as files; they replace the mask that can be painted now. */
export function takeMasks(target: () => Mask | null, failed: (trouble: Trouble) => void): void {
  button("mask-file").addEventListener("click", () => input("mask-input").click());
  input("mask-input").addEventListener("change", () => {
    const file = input("mask-input").files?.[0], mask = target();
    input("mask-input").value = "";
    if (!file || !mask) return;
    createImageBitmap(file).then((bitmap) => {
      if (bitmap.width !== mask.width || bitmap.height !== mask.height) {
        throw new Trouble(0, `The mask has ${bitmap.width} × ${bitmap.height} pixels, the photo ${mask.width} × ${mask.height}.`,
          "Draw it on the photo itself; masks are never resized.");
      }
      mask.load(bitmap);
    }).catch((error: unknown) => failed(error instanceof Trouble ? error
      : new Trouble(0, "That is no picture this browser can read.", "Save the mask as PNG.")));
  });
}
