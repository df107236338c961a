/** What is missing: a layer of the photo's size that is painted, and can be undone. */

import { canvas, context } from "./dom";

export interface Point { x: number; y: number }
interface Box { x: number; y: number; width: number; height: number }
interface Step { box: Box; before: ImageData; after: ImageData; faces: [boolean[], boolean[]] }

const INK = "#000";
const MOST_STEPS = 40;

export class Mask {
  readonly layer: HTMLCanvasElement;
  /** Which faces' covers are in it. */
  faces: boolean[] = [];
  private readonly ink: CanvasRenderingContext2D;
  private done: Step[] = [];
  private undone: Step[] = [];

  constructor(readonly width: number, readonly height: number, private readonly changed: () => void) {
    this.layer = canvas(width, height)[0];
    this.ink = context(this.layer, { willReadFrequently: true });
  }

  get canUndo(): boolean { return this.done.length > 0; }
  get canRedo(): boolean { return this.undone.length > 0; }

  /** A line of the brush, or of the eraser, through points. */
  stroke(points: Point[], size: number, erase: boolean): void {
    this.change(around(points, size / 2 + 2), () => this.line(points, size, erase));
  }

  fill(points: Point[]): void {
    if (points.length < 3) return;
    this.change(around(points, 2), () => {
      this.ink.beginPath();
      for (const { x, y } of points) this.ink.lineTo(x, y);
      this.ink.fill();
    });
  }

  /** Put the cover of a face in, or take it out. */
  setFace(index: number, on: boolean, cover: HTMLCanvasElement | null, x: number, y: number): void {
    const faces = this.faces.with(index, on);
    const box = cover ? { x, y, width: cover.width, height: cover.height } : { x: 0, y: 0, width: 1, height: 1 };
    this.change(box, () => {
      if (!on) this.ink.globalCompositeOperation = "destination-out";
      if (cover) this.ink.drawImage(cover, x, y);
    }, faces);
  }

  clear(): void {
    this.change(this.whole, () => this.ink.clearRect(0, 0, this.width, this.height), this.faces.map(() => false));
  }

  /** Grow by so many pixels, or shrink where they are negative. */
  grow(pixels: number): void {
    this.change(this.whole, () => {
      if (pixels > 0) {
        dilate(this.ink, this.layer, pixels);
      } else {
        const [inverse, ink] = canvas(this.width, this.height);
        ink.fillRect(0, 0, this.width, this.height);
        ink.globalCompositeOperation = "destination-out";
        ink.drawImage(this.layer, 0, 0);
        ink.globalCompositeOperation = "source-over";
        dilate(ink, inverse, -pixels);
        this.ink.globalCompositeOperation = "destination-out";
        this.ink.drawImage(inverse, 0, 0);
      }
    });
  }

  /** Replace it by a picture: white or opaque is missing, as everywhere in facefill. */
  load(picture: ImageBitmap): void {
    const [, ink] = canvas(this.width, this.height);
    ink.drawImage(picture, 0, 0);
    const image = ink.getImageData(0, 0, this.width, this.height);
    const pixels = image.data;
    let clear = false;
    for (let at = 3; at < pixels.length && !clear; at += 4) clear = pixels[at]! < 128;
    for (let at = 0; at < pixels.length; at += 4) {
      const luma = 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
      const missing = clear ? pixels[at + 3]! > 127 : luma > 127;
      pixels.fill(0, at, at + 3);
      pixels[at + 3] = missing ? 255 : 0;
    }
    this.change(this.whole, () => this.ink.putImageData(image, 0, 0), this.faces.map(() => false));
  }

  undo(): void {
    this.replay(this.done, this.undone, "before", 0);
  }

  redo(): void {
    this.replay(this.undone, this.done, "after", 1);
  }

  /** Nothing before this can be undone: it is what was found, not what somebody did. */
  begin(): void {
    this.done = [];
    this.undone = [];
    this.changed();
  }

  isEmpty(): boolean {
    const { data } = this.ink.getImageData(0, 0, this.width, this.height);
    for (let at = 3; at < data.length; at += 4) if (data[at]! > 127) return false;
    return true;
  }

  /** White on black, of the photo's size. */
  async png(): Promise<Blob> {
    const [sheet, ink] = canvas(this.width, this.height);
    ink.drawImage(this.layer, 0, 0);
    ink.globalCompositeOperation = "source-in";
    ink.fillStyle = "#fff";
    ink.fillRect(0, 0, this.width, this.height);
    ink.globalCompositeOperation = "destination-over";
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, this.width, this.height);
    return await new Promise((resolve, reject) => sheet.toBlob((blob) => blob ? resolve(blob) : reject(
      new Error("the mask is too large for this browser")), "image/png"));
  }

  private replay(from: Step[], to: Step[], side: "before" | "after", which: 0 | 1): void {
    const step = from.pop();
    if (!step) return;
    to.push(step);
    this.ink.putImageData(step[side], step.box.x, step.box.y);
    this.faces = step.faces[which];
    this.changed();
  }

  private get whole(): Box { return { x: 0, y: 0, width: this.width, height: this.height }; }

  private line(points: Point[], size: number, erase: boolean): void {
    if (erase) this.ink.globalCompositeOperation = "destination-out";
    this.ink.lineCap = this.ink.lineJoin = "round";
    this.ink.lineWidth = size;
    this.ink.beginPath();
    // A line of no length would not be drawn, a dot must be.
    this.ink.moveTo(points[0]!.x - 0.01, points[0]!.y);
    for (const { x, y } of points) this.ink.lineTo(x, y);
    this.ink.stroke();
  }

  private change(box: Box, draw: () => void, faces: boolean[] = this.faces): void {
    const x = Math.max(0, Math.floor(box.x)), y = Math.max(0, Math.floor(box.y));
    const width = Math.min(this.width, Math.ceil(box.x + box.width)) - x;
    const height = Math.min(this.height, Math.ceil(box.y + box.height)) - y;
    if (width <= 0 || height <= 0) return;
    const before = this.ink.getImageData(x, y, width, height);
    this.ink.save();
    this.ink.fillStyle = this.ink.strokeStyle = INK;
    draw();
    this.ink.restore();
    const after = this.ink.getImageData(x, y, width, height);
    this.done.push({ box: { x, y, width, height }, before, after, faces: [this.faces, faces] });
    if (this.done.length > MOST_STEPS) this.done.shift();
    this.undone = [];
    this.faces = faces;
    this.changed();
  }
}

/** Draw a layer onto itself from all sides, in steps that never exceed what is already there. */
function dilate(ink: CanvasRenderingContext2D, layer: HTMLCanvasElement, pixels: number): void {
  const copy = canvas(layer.width, layer.height);
  for (let left = pixels; left > 0; left -= 4) {
    const reach = Math.min(left, 4);
    copy[1].clearRect(0, 0, layer.width, layer.height);
    copy[1].drawImage(layer, 0, 0);
    for (let turn = 0; turn < 16; turn++) {
      const angle = turn * Math.PI / 8;
      ink.drawImage(copy[0], Math.round(reach * Math.cos(angle)), Math.round(reach * Math.sin(angle)));
    }
  }
}

function around(points: Point[], margin: number): Box {
  const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
  const x = Math.min(...xs) - margin, y = Math.min(...ys) - margin;
  return { x, y, width: Math.max(...xs) + margin - x, height: Math.max(...ys) + margin - y };
}

/** A grey mask of the server as a layer to draw with. */
export async function coverLayer(png: Blob): Promise<HTMLCanvasElement> {
  const bitmap = await createImageBitmap(png);
  const [layer, ink] = canvas(bitmap.width, bitmap.height);
  ink.drawImage(bitmap, 0, 0);
  const image = ink.getImageData(0, 0, layer.width, layer.height);
  for (let at = 0; at < image.data.length; at += 4) {
    image.data[at + 3] = image.data[at]! > 127 ? 255 : 0;
    image.data.fill(0, at, at + 3);
  }
  ink.putImageData(image, 0, 0);
  return layer;
}
