/** Short ways to the page's elements. */

export function $<T extends Element = HTMLElement>(selector: string): T {
  const found = document.querySelector<T>(selector);
  if (!found) throw new Error(`no ${selector} in the page`);
  return found;
}

export const button = (id: string): HTMLButtonElement => $<HTMLButtonElement>(`#${id}`);
export const input = (id: string): HTMLInputElement => $<HTMLInputElement>(`#${id}`);

type Content = Node | string;

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K, attributes: Record<string, string> = {}, ...content: Content[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** Tell people who hear the page. */
export function say(text: string): void {
  $("#status").textContent = text;
}

export function canvas(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const made = el("canvas");
  made.width = width;
  made.height = height;
  return [made, context(made)];
}

export function context(of: HTMLCanvasElement, options?: CanvasRenderingContext2DSettings): CanvasRenderingContext2D {
  const found = of.getContext("2d", options);
  if (!found) throw new Error("this browser draws no canvas");
  return found;
}
