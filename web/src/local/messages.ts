/** What the page and its worker say to each other. */

import type { Completed, Detected, Said } from "../engine";

/** `page.json`, which `facefill page` writes. */
export interface Contents {
  version: string;
  methods: unknown[];
  /** What is fetched when it is first needed: bytes by path. */
  files: Record<string, number>;
  weights: Record<string, { file: string; sha256: string }>;
}

export type Order =
  | { kind: "begin"; base: string; contents: Contents }
  | { kind: "detect"; id: number; photo: Blob; kinds: string[]; preview: boolean }
  | { kind: "complete"; id: number; photo: Blob; mask: Blob; seed: number; samples: number; first: number; largeHole: boolean; preview: boolean }
  | { kind: "cancel"; id: number }
  /** Let another worker use the networks, by that port. */
  | { kind: "lend"; id: number; port: MessagePort }
  /** Watch a camera with the networks behind that port: from then on the worker takes frames. */
  | { kind: "watch"; port: MessagePort };

export type Answer =
  | { id: number; doing: string; share: number | null }
  | { id: number; done: Detected | Completed | null }
  | { id: number; cancelled: true }
  | { id: number; what: string; fix: string };

/** What a worker that watches says: a frame for each that it got, but "ready" first. */
export type Seen = "ready" | { frame: ImageBitmap; said: Said } | { failed: string };
