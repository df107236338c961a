/** The keyboard, as the page's help lists it. */

export interface Acts {
  in(): void; out(): void; fit(): void; near(): void; complete(): void; again(): void; cancel(): void;
  undo(): void; redo(): void; grow(): void; shrink(): void;
  choose(tool: string): void;
  peek(on: boolean): void;
  size(by: (old: number) => number): void;
  /** Whether there is a mask to paint on. */
  paints(): boolean;
}

const TOOLS: Record<string, string> = { h: "hand", b: "brush", e: "erase", l: "lasso" };

export function listenToKeys(acts: Acts): void {
  const plain: Record<string, () => void> = {
    Escape: acts.cancel, "+": acts.in, "=": acts.in, "-": acts.out, "0": acts.fit, f: acts.near, o: () => acts.peek(true),
  };
  const painting: Record<string, () => void> = {
    "[": () => acts.size((old) => old * 0.8), "]": () => acts.size((old) => old * 1.25 + 1), g: acts.grow, s: acts.shrink,
  };
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey) {
      if (!acts.paints()) return;
      if (event.key.toLowerCase() === "z") (event.shiftKey ? acts.redo : acts.undo)();
      else if (event.key === "Enter") (document.body.dataset.mode === "result" ? acts.again : acts.complete)();
      else return;
      event.preventDefault();
      return;
    }
    const typing = event.target instanceof HTMLInputElement && event.target.type === "number";
    if (typing || event.altKey) return;
    const tool = TOOLS[event.key];
    if (plain[event.key]) plain[event.key]!();
    else if (!acts.paints()) return;
    else if (tool) acts.choose(tool);
    else painting[event.key]?.();
  });
  document.addEventListener("keyup", (event) => { if (event.key === "o") acts.peek(false); });
  const hold = document.querySelector<HTMLElement>("#peek")!;
  hold.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") acts.peek(true); });
  hold.addEventListener("keyup", () => acts.peek(false));
}
