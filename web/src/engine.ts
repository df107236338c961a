/** What completes photos for the page: the server's REST (rest.ts), or the browser itself (local/engine.ts). */

import type { components } from "./schema";

type Schemas = components["schemas"];
export type Face = Schemas["FoundFace"];
export type Detected = Schemas["Detected"];
export type Completed = Schemas["Completed"];
export type Method = Schemas["Method"];
export type Progress = Schemas["Progress"];

/** What went wrong, in three parts: what was expected, what came, what to do. */
export class Trouble extends Error {
  constructor(readonly status: number, readonly what: string, readonly fix: string) {
    super(what);
  }
}

export const CANCELLED = new Trouble(0, "Cancelled.", "");

/** Is told what is being done and how much of it, 0 to 1; null while nobody knows. */
export type Doing = (what: string, share: number | null) => void;

export interface Wish {
  photo: Blob; mask: Blob; method: Method; seed: number; samples: number; largeHole: boolean;
  /** The number of the first sample: 0 is the best. */
  first: number;
  /** Also answer a JPEG, for formats that the browser cannot show. */
  preview: boolean;
}

export interface Engine {
  methods(): Promise<Method[]>;
  /** kinds: of `KINDS`, what counts as a cover. */
  detect(photo: Blob, kinds: string[], preview: boolean, signal: AbortSignal, doing: Doing): Promise<Detected>;
  complete(wish: Wish, signal: AbortSignal, doing: Doing): Promise<Completed>;
  /** Frames go in one after the other, and come back completed in their order. ended: null where we closed it. doing:
   * what is done before the first. */
  watch(shown: (frame: ImageBitmap, said: Said) => void, ended: (trouble: Trouble | null) => void, doing: Doing): Camera;
}

export interface Said { faces: number; completed: number; drawn: number; too_covered: number; ms: number }

/** A camera that is being worked on. */
export interface Camera {
  /** How many frames are on their way; Infinity while none can be taken. */
  readonly waiting: number;
  /** Takes the frame over. */
  send(frame: ImageBitmap): void;
  close(): void;
}

/** Kinds of covers, and what the page calls them. */
export const KINDS: Record<string, string> = { mask: "face mask", sunglasses: "sunglasses", hand: "hand", other: "another thing" };

export const plain = (method: string): string => method.replaceAll("_", " ");

export function fromBase64(text: string, type: string): Blob {
  return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type });
}
