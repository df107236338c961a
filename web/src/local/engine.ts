/** The engine in the browser: the photo never leaves the device. */

import { CANCELLED, Trouble, type Completed, type Detected, type Doing, type Engine, type Method } from "../engine";
import type { Answer, Contents, Order } from "./messages";
import address from "./worker?worker&url";

interface Waiting { signal: AbortSignal; doing: Doing; resolve: (done: never) => void; reject: (trouble: Trouble) => void }

const waiting = new Map<number, Waiting>();
const contents: Promise<Contents> = fetch("page.json").then(async (answer) => await answer.json() as Contents);
let worker: Promise<Worker> | null = null, count = 0;

/** A worker of a blob keeps to the policy of the page that made it; one from a file has only what its server says. */
async function begin(): Promise<Worker> {
  const source = `import ${JSON.stringify(new URL(address, document.baseURI).href)};`;
  const made = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
  made.onmessage = ({ data }: MessageEvent<Answer>) => take(data);
  made.onerror = () => { for (const [id] of waiting) take({ id, what: "The page failed.", fix: "Load it again." }); };
  made.postMessage({ kind: "begin", base: document.baseURI, contents: await contents } satisfies Order);
  return made;
}

function take(answer: Answer): void {
  const asked = waiting.get(answer.id);
  if (!asked) return;
  if ("doing" in answer) {
    if (!asked.signal.aborted) asked.doing(answer.doing, answer.share);
    return;
  }
  waiting.delete(answer.id);
  if ("done" in answer) asked.resolve(answer.done as never);
  else asked.reject("what" in answer ? new Trouble(0, answer.what, answer.fix) : CANCELLED);
}

type Asked<Kind extends Order["kind"]> = Omit<Extract<Order, { kind: Kind }>, "id">;

async function ask<T>(order: Asked<"detect"> | Asked<"complete">, signal: AbortSignal, doing: Doing): Promise<T> {
  const hand = await (worker ??= begin()), id = ++count;
  return await new Promise<T>((resolve, reject) => {
    waiting.set(id, { signal, doing, resolve, reject });
    const cancel = (): void => {
      hand.postMessage({ kind: "cancel", id } satisfies Order);
      take({ id, cancelled: true });
    };
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    else hand.postMessage({ ...order, id } as Order);
  });
}

/** Keeps the page's files for the next time, and lets its worker use several threads: that needs two headers, which the
 * service worker adds. */
export async function keep(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const fresh = !navigator.serviceWorker.controller;
  await navigator.serviceWorker.register("sw.js");
  await navigator.serviceWorker.ready;
  if (fresh && !navigator.serviceWorker.controller) {
    await new Promise((resolve) => { navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }); });
  }
  if (fresh && document.body.dataset.mode === "empty") location.reload();
}

export const local: Engine = {
  methods: async () => (await contents).methods as Method[],
  detect: (photo, kinds, preview, signal, doing) => ask<Detected>({ kind: "detect", photo, kinds, preview }, signal, doing),
  complete: ({ photo, mask, seed, samples, largeHole, preview }, signal, doing) =>
    ask<Completed>({ kind: "complete", photo, mask, seed, samples, largeHole, preview }, signal, doing),
  watch: null,
};
