/** The engine in the browser: the photo never leaves the device. */

import { CANCELLED, Trouble, type Camera, type Completed, type Detected, type Doing, type Engine, type Method, type Said } from "../engine";
import type { Answer, Contents, Order, Seen } from "./messages";
import address from "./worker?worker&url";

interface Waiting { signal: AbortSignal; doing: Doing; resolve: (done: never) => void; reject: (trouble: Trouble) => void }

const waiting = new Map<number, Waiting>();
const contents: Promise<Contents> = fetch("page.json").then(async (answer) => await answer.json() as Contents);
let worker: Promise<Worker> | null = null, count = 0;

/** A worker of a blob keeps to the policy of the page that made it; one from a file has only what its server says. */
async function begin<Said>(told: (said: Said) => void, failed: () => void): Promise<Worker> {
  const source = `import ${JSON.stringify(new URL(address, document.baseURI).href)};`;
  const made = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
  made.onmessage = ({ data }: MessageEvent<Said>) => told(data);
  made.onerror = failed;
  made.postMessage({ kind: "begin", base: document.baseURI, contents: await contents } satisfies Order);
  return made;
}

const FAILED = { what: "The page failed.", fix: "Load it again." };
const beginHand = async (): Promise<Worker> => await begin(take, () => { for (const [id] of waiting) take({ id, ...FAILED }); });

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

async function ask<T>(
  order: Asked<"detect"> | Asked<"complete"> | Asked<"lend">, signal: AbortSignal, doing: Doing, given: Transferable[] = [],
): Promise<T> {
  const hand = await (worker ??= beginHand()), id = ++count;
  return await new Promise<T>((resolve, reject) => {
    waiting.set(id, { signal, doing, resolve, reject });
    const cancel = (): void => {
      hand.postMessage({ kind: "cancel", id } satisfies Order);
      take({ id, cancelled: true });
    };
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    else hand.postMessage({ ...order, id } as Order, given);
  });
}

/** One worker follows the camera, while that of the photos runs the networks for it. */
function watch(shown: (frame: ImageBitmap, said: Said) => void, ended: (trouble: Trouble | null) => void, doing: Doing): Camera {
  const { port1, port2 } = new MessageChannel(), closing = new AbortController();
  let eyes: Worker | null = null, waiting = Infinity;
  const end = (trouble: Trouble | null): void => {
    eyes?.terminate();
    port1.close();
    ended(trouble);
  };
  const see = (seen: Seen): void => {
    if (seen === "ready") {
      waiting = 0;
    } else if ("frame" in seen) {
      waiting--;
      shown(seen.frame, seen.said);
    } else {
      end(new Trouble(0, `The page failed: ${seen.failed}.`, FAILED.fix));
    }
  };
  void ask<null>({ kind: "lend", port: port2 }, closing.signal, doing, [port2]).then(async () => {
    eyes = await begin(see, () => end(new Trouble(0, FAILED.what, FAILED.fix)));
    if (closing.signal.aborted) eyes.terminate();
    else eyes.postMessage({ kind: "watch", port: port1 } satisfies Order, [port1]);
  }, (trouble: Trouble) => { if (!closing.signal.aborted) end(trouble); });
  return {
    get waiting() { return waiting; },
    send(frame) {
      waiting++;
      eyes!.postMessage(frame, [frame]);
    },
    close() {
      if (closing.signal.aborted) return;
      closing.abort();
      end(null);
    },
  };
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
  complete: ({ photo, mask, seed, samples, first, largeHole, preview }, signal, doing) =>
    ask<Completed>({ kind: "complete", photo, mask, seed, samples, first, largeHole, preview }, signal, doing),
  watch,
};
