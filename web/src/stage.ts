/** A picture on a canvas: zoom, pan, the covers found, and the line between before and after. */

import type { Face } from "./engine";
import { canvas, context, el } from "./dom";
import type { Mask, Point } from "./mask";

/** Which part of the photo all columns show. x, y: the photo's pixel in their middle. */
export class View {
  scale = 1;
  x = 0;
  y = 0;
  /** How much of the result is seen: it lies left of the line, 0 to 1 of the photo's width; the original right of it. */
  split = 0.5;
  /** While true, only the original is seen. */
  peek = false;
}

export type Pen = { at: Point | null; size: number; lasso: Point[]; stroke: Point[]; tool: string };

export class Stage {
  readonly root: HTMLElement;
  readonly sheet: HTMLCanvasElement;
  after: ImageBitmap | null = null;
  mask: Mask | null = null;
  faces: Face[] = [];
  pen: Pen | null = null;
  private readonly ink: CanvasRenderingContext2D;
  private readonly tint = canvas(1, 1);
  private waiting = false;

  constructor(readonly before: ImageBitmap, readonly view: View, title: string) {
    this.sheet = el("canvas", { tabindex: "0", role: "img" });
    this.ink = context(this.sheet);
    this.root = el("figure", {}, this.sheet);
    if (title) this.root.append(el("figcaption", {}, title));
    new ResizeObserver(() => this.fitSheet()).observe(this.sheet);
  }

  /** Pixels of the screen for one of the page. */
  private get density(): number { return window.devicePixelRatio || 1; }

  get fitScale(): number {
    const margin = Math.min(48, this.sheet.clientWidth * 0.06);
    return Math.min((this.sheet.clientWidth - margin) / this.before.width,
      (this.sheet.clientHeight - margin) / this.before.height);
  }

  toPhoto(x: number, y: number): Point {
    const box = this.sheet.getBoundingClientRect();
    return {
      x: (x - box.left - box.width / 2) / this.view.scale + this.view.x,
      y: (y - box.top - box.height / 2) / this.view.scale + this.view.y,
    };
  }

  redraw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  private fitSheet(): void {
    this.sheet.width = Math.round(this.sheet.clientWidth * this.density);
    this.sheet.height = Math.round(this.sheet.clientHeight * this.density);
    this.draw();
  }

  private draw(): void {
    if (!this.sheet.width || !this.sheet.height) return;
    const { ink, view } = this, scale = view.scale * this.density;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, this.sheet.width, this.sheet.height);
    ink.setTransform(scale, 0, 0, scale, this.sheet.width / 2 - view.x * scale, this.sheet.height / 2 - view.y * scale);
    ink.imageSmoothingEnabled = scale < 3;
    ink.imageSmoothingQuality = "high";
    ink.drawImage(this.before, 0, 0);
    if (this.after && !view.peek) this.drawAfter(1 / view.scale);
    if (this.mask && !view.peek) this.drawMask(this.mask);
    if (!this.after) this.drawFaces(1 / view.scale);
    if (this.pen) this.drawPen(this.pen, 1 / view.scale);
  }

  private drawAfter(px: number): void {
    const { ink, before } = this, at = this.view.split * before.width;
    ink.save();
    ink.beginPath();
    ink.rect(0, 0, at, before.height);
    ink.clip();
    ink.drawImage(this.after!, 0, 0);
    ink.restore();
    ink.fillStyle = "#fff";
    ink.shadowColor = "rgb(0 0 0 / 50%)";
    ink.shadowBlur = 6;
    ink.fillRect(at - px, 0, 2 * px, before.height);
    const middle = Math.min(before.height, Math.max(0, this.view.y));
    ink.beginPath();
    ink.arc(at, middle, 15 * px, 0, 7);
    ink.fill();
    ink.shadowBlur = 0;
    ink.strokeStyle = "#37474a";
    ink.lineWidth = 2 * px;
    for (const side of [-1, 1]) {
      ink.beginPath();
      ink.moveTo(at + side * 4 * px, middle - 5 * px);
      ink.lineTo(at + side * 9 * px, middle);
      ink.lineTo(at + side * 4 * px, middle + 5 * px);
      ink.stroke();
      this.drawSide(side < 0 ? "After" : "Before", at + side * 42 * px, Math.max(0, this.view.y - this.sheet.clientHeight / 2 * px) + 18 * px, px);
    }
  }

  private drawSide(text: string, x: number, y: number, px: number): void {
    const { ink } = this;
    if (x < 34 * px || x > this.before.width - 34 * px) return;
    ink.fillStyle = "rgb(0 0 0 / 60%)";
    ink.beginPath();
    ink.roundRect(x - 28 * px, y - 11 * px, 56 * px, 22 * px, 11 * px);
    ink.fill();
    this.drawText(text, x, y, 12 * px);
  }

  private drawText(text: string, x: number, y: number, size: number): void {
    const { ink } = this;
    ink.fillStyle = "#fff";
    ink.font = `600 ${size}px system-ui, sans-serif`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.fillText(text, x, y);
  }

  private drawMask(mask: Mask): void {
    const { ink, sheet } = this, [layer, tint] = this.tint;
    if (layer.width !== sheet.width || layer.height !== sheet.height) [layer.width, layer.height] = [sheet.width, sheet.height];
    tint.setTransform(1, 0, 0, 1, 0, 0);
    tint.globalCompositeOperation = "copy";
    tint.fillStyle = "#e07a52";
    tint.setTransform(ink.getTransform());
    tint.drawImage(mask.layer, 0, 0);
    tint.setTransform(1, 0, 0, 1, 0, 0);
    tint.globalCompositeOperation = "source-in";
    tint.fillRect(0, 0, layer.width, layer.height);
    ink.save();
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.globalAlpha = 0.55;
    ink.drawImage(layer, 0, 0);
    ink.restore();
  }

  private drawFaces(px: number): void {
    const { ink } = this;
    this.faces.forEach((face, index) => {
      const [x0, y0, x1, y1] = face.box, on = this.mask?.faces[index] ?? false;
      const reach = Math.min(14 * px, (x1 - x0) / 4);
      for (const [style, width] of [["rgb(0 0 0 / 45%)", 4], [on ? "#ffffff" : "rgb(255 255 255 / 70%)", 2]] as const) {
        ink.strokeStyle = style;
        ink.lineWidth = width * px;
        ink.setLineDash(on ? [] : [6 * px, 5 * px]);
        ink.beginPath();
        ink.roundRect(x0, y0, x1 - x0, y1 - y0, reach);
        ink.stroke();
      }
      ink.setLineDash([]);
      if (this.faces.length > 1 && (x1 - x0) / px > 40) this.drawNumber(String(index + 1), x0 + 13 * px, y0 + 13 * px, px);
    });
  }

  private drawNumber(text: string, x: number, y: number, px: number): void {
    const { ink } = this;
    ink.fillStyle = "rgb(0 0 0 / 55%)";
    ink.beginPath();
    ink.arc(x, y, 9 * px, 0, 7);
    ink.fill();
    this.drawText(text, x, y, 11 * px);
  }

  private drawPen(pen: Pen, px: number): void {
    const { ink } = this;
    if (pen.stroke.length) {
      ink.save();
      ink.globalAlpha = 0.55;
      ink.strokeStyle = pen.tool === "erase" ? "#ffffff" : "#e07a52";
      ink.lineWidth = pen.size;
      ink.lineCap = ink.lineJoin = "round";
      ink.beginPath();
      ink.moveTo(pen.stroke[0]!.x - 0.01, pen.stroke[0]!.y);
      for (const { x, y } of pen.stroke) ink.lineTo(x, y);
      ink.stroke();
      ink.restore();
    }
    for (const [style, width] of [["rgb(0 0 0 / 60%)", 3], ["#fff", 1.5]] as const) {
      ink.strokeStyle = style;
      ink.lineWidth = width * px;
      if (pen.lasso.length) {
        ink.beginPath();
        for (const { x, y } of pen.at ? [...pen.lasso, pen.at] : pen.lasso) ink.lineTo(x, y);
        ink.stroke();
      }
      if (pen.at && pen.tool !== "hand") {
        ink.beginPath();
        ink.arc(pen.at.x, pen.at.y, pen.tool === "lasso" ? 4 * px : pen.size / 2, 0, 7);
        ink.stroke();
      }
    }
  }
}
