/** Hands on a stage: pointer, wheel, two fingers and keys become moves of the view and strokes of the mask. */

import type { Point } from "./mask";
import type { Pen, Stage } from "./stage";

export interface Desk {
  tool: string;
  /** Brush diameter in pixels of the screen. */
  size: number;
  /** Whether the mask can be painted now. */
  paints: boolean;
  redraw(): void;
  zoom(factor: number, at?: Point): void;
  /** Somebody pressed on a place of the photo without painting. */
  pressed(at: Point): void;
  split(share: number): void;
  say(text: string): void;
}

export function attach(stage: Stage, desk: Desk): void {
  const { sheet, view } = stage;
  const down = new Map<number, Point>();
  let from: Point | null = null, moved = 0, splitting = false, gap = 0;

  const pen = (): Pen => stage.pen ??= { at: null, size: 0, lasso: [], stroke: [], tool: desk.tool };
  const painting = (): boolean => desk.paints && desk.tool !== "hand";
  const show = (at: Point | null): void => {
    Object.assign(pen(), { at: painting() ? at : null, size: desk.size / view.scale, tool: desk.tool });
    desk.redraw();
  };

  const finish = (): void => {
    const { stroke, lasso, size, tool } = pen();
    if (tool === "lasso" && stroke.length > 8) stage.mask?.fill(stroke);
    else if (tool === "lasso" && stroke.length) lasso.push(stroke[0]!);
    else if (stroke.length) stage.mask?.stroke(stroke, size, tool === "erase");
    pen().stroke = [];
    desk.redraw();
  };

  sheet.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    sheet.focus({ preventScroll: true });
    sheet.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    from = { x: event.clientX, y: event.clientY };
    moved = 0;
    const at = stage.toPhoto(event.clientX, event.clientY);
    splitting = Boolean(stage.after) && !painting() && Math.abs(at.x - view.split * stage.before.width) * view.scale < 24;
    if (down.size === 2) {
      pen().stroke = [];
      gap = 0;
    } else if (painting() && event.button === 0) {
      pen().stroke = [at];
      show(at);
    }
  });

  sheet.addEventListener("pointermove", (event) => {
    const at = stage.toPhoto(event.clientX, event.clientY), last = down.get(event.pointerId);
    if (!last || !from) {
      sheet.style.cursor = stage.after && !painting() && Math.abs(at.x - view.split * stage.before.width) * view.scale < 24
        ? "ew-resize" : painting() ? "none" : "grab";
      show(at);
      return;
    }
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    moved += Math.hypot(dx, dy);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (down.size === 2) {
      const [a, b] = [...down.values()] as [Point, Point], now = Math.hypot(a.x - b.x, a.y - b.y);
      if (gap) desk.zoom(now / gap, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
      gap = now;
      view.x -= dx / 2 / view.scale;
      view.y -= dy / 2 / view.scale;
      desk.redraw();
    } else if (splitting) {
      desk.split(at.x / stage.before.width);
    } else if (painting() && pen().stroke.length) {
      for (const each of event.getCoalescedEvents?.() ?? [event]) pen().stroke.push(stage.toPhoto(each.clientX, each.clientY));
      show(at);
    } else {
      view.x -= dx / view.scale;
      view.y -= dy / view.scale;
      desk.redraw();
    }
  });

  const up = (event: PointerEvent): void => {
    if (!down.delete(event.pointerId)) return;
    if (painting()) finish();
    else if (moved < 5 && event.type === "pointerup" && !splitting) desk.pressed(stage.toPhoto(event.clientX, event.clientY));
    splitting = false;
    from = null;
  };
  sheet.addEventListener("pointerup", up);
  sheet.addEventListener("pointercancel", up);
  sheet.addEventListener("pointerleave", () => { if (!down.size) show(null); });
  sheet.addEventListener("wheel", (event) => {
    event.preventDefault();
    desk.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), { x: event.clientX, y: event.clientY });
  }, { passive: false });

  sheet.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
    };
    const way = arrows[event.key], step = (event.shiftKey ? 64 : 12) / view.scale;
    const at = pen().at ?? { x: view.x, y: view.y };
    if (way && painting()) {
      const to = {
        x: Math.min(stage.before.width, Math.max(0, at.x + way[0] * step)),
        y: Math.min(stage.before.height, Math.max(0, at.y + way[1] * step)),
      };
      show(to);
      desk.say(`${Math.round(to.x)}, ${Math.round(to.y)}`);
    } else if (way) {
      view.x += way[0] * step;
      view.y += way[1] * step;
      desk.redraw();
    } else if (event.key === " " && painting()) {
      show(at);
      pen().stroke = [at];
      finish();
      desk.say(desk.tool === "lasso" ? `Corner ${pen().lasso.length}` : desk.tool === "erase" ? "Erased" : "Painted");
    } else if (event.key === " " && !stage.after) {
      desk.pressed({ x: view.x, y: view.y });
    } else if (event.key === "Enter" && pen().lasso.length > 2) {
      stage.mask?.fill(pen().lasso);
      pen().lasso = [];
      desk.say("Lasso closed");
      desk.redraw();
    } else if (event.key === "Escape" && pen().lasso.length) {
      pen().lasso = [];
      desk.redraw();
      event.stopPropagation();
    } else {
      return;
    }
    event.preventDefault();
  });
}
