/** The engine behind `facefill serve`: requests that show progress and can be cancelled. All addresses are relative to
 * the page, which may lie below a prefix. */

import {
  CANCELLED, plain, Trouble, type Camera, type Completed, type Detected, type Doing, type Engine, type Method,
  type Progress, type Said, type Wish,
} from "./engine";

let token = sessionStorage.getItem("token") ?? "";

export function setToken(value: string): void {
  token = value;
  sessionStorage.setItem("token", value);
}

function headers(): Record<string, string> {
  return token ? { Accept: "application/json", Authorization: `Bearer ${token}` } : { Accept: "application/json" };
}

const unreachable = (): Trouble => new Trouble(0, "The server does not answer.", "Check that it still runs: facefill serve.");

async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { headers: headers() }).catch(() => { throw unreachable(); });
  if (!answer.ok) throw trouble(answer.status, await answer.text());
  return await answer.json() as T;
}

export function trouble(status: number, body: string): Trouble {
  try {
    const { expected, got, fix } = (JSON.parse(body) as { error: Record<string, string> }).error;
    return new Trouble(status, `Expected ${expected}, but got ${got}.`, `${fix![0]!.toUpperCase()}${fix!.slice(1)}.`);
  } catch {
    return new Trouble(status, "The server gave no sensible answer.", "Try again; if it stays so, look at the server's log.");
  }
}

/** What a request waits for, and about how long. `last`: what its longest step is called. */
export function sayProgress({ stage, ahead, wait_s: wait }: Progress, last: string): string {
  const about = wait >= 1 ? `, about ${Math.round(wait)} s` : "";
  if (stage !== "waiting") {
    return { uploading: "Sending the photo", looking: "Finding faces", completing: last, writing: "Writing the photo" }[stage];
  }
  if (!ahead) return "Waiting for a free processor";
  return `Waiting: ${ahead} ${ahead === 1 ? "photo" : "photos"} before yours${about}`;
}

/** Methods that take long say so beforehand. */
export function sayMethod(method: Method): string {
  const seconds = Math.round((method.ms ?? 0) / 1000);
  return `Completing with ${plain(method.name)}${seconds >= 2 ? `, about ${seconds} s a face` : ""}`;
}

type Form = Record<string, Blob | string>;

function post<T>(path: string, form: Form, last: string, signal: AbortSignal, doing: Doing): Promise<T> {
  const body = new FormData();
  for (const [name, value] of Object.entries(form)) body.append(name, value);
  const name = crypto.getRandomValues(new Uint8Array(12)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  return new Promise<T>((resolve, reject) => {
    const request = new XMLHttpRequest();
    let watching = 0;
    const end = (): void => {
      clearInterval(watching);
      signal.removeEventListener("abort", cancel);
    };
    const cancel = (): void => {
      request.abort();
      end();
      reject(CANCELLED);
    };
    request.open("POST", path);
    for (const [key, value] of Object.entries(headers())) request.setRequestHeader(key, value);
    request.setRequestHeader("Facefill-Job", name);
    request.upload.onprogress = (event) => doing("Sending the photo", event.loaded / event.total);
    request.upload.onload = () => {
      doing(last, null);
      watching = window.setInterval(() => void get<Progress>(`v1/progress/${name}`).then(
        (progress) => { if (watching) doing(sayProgress(progress, last), null); }, () => undefined), 500);
    };
    request.onload = () => {
      end();
      if (request.status === 200) resolve(JSON.parse(request.responseText) as T);
      else reject(trouble(request.status, request.responseText));
    };
    request.onerror = () => {
      end();
      reject(unreachable());
    };
    signal.addEventListener("abort", cancel);
    if (signal.aborted) cancel();
    else request.send(body);
  });
}

/** What a WebSocket offers as its subprotocols: browsers send no Authorization with one. */
export function protocolsOf(secret: string): string[] {
  const coded = btoa(secret).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return secret ? ["facefill", `token.${coded}`] : ["facefill"];
}

function watch(shown: (frame: ImageBitmap, said: Said) => void, ended: (trouble: Trouble | null) => void): Camera {
  const address = new URL("v1/live", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address, protocolsOf(token));
  let said: Said | null = null, waiting = 0, closed = false, got = Promise.resolve();
  let sent = new Promise<void>((resolve) => { socket.onopen = () => resolve(); });
  socket.onmessage = ({ data }: MessageEvent<string | Blob>) => {
    if (typeof data === "string") {
      said = JSON.parse(data) as Said;
    } else {
      const mine = said!;
      waiting--;
      got = got.then(async () => shown(await createImageBitmap(data), mine));
    }
  };
  socket.onclose = ({ code, reason }) => {
    if (closed) ended(null);
    else if (code === 1013) ended(new Trouble(0, "Too many cameras run on this server.", "Try again when one has ended."));
    else ended(new Trouble(0, `The camera's connection ended${reason && `: ${reason}`}.`, "Start it again."));
  };
  return {
    get waiting() { return waiting; },
    send(frame) {
      waiting++;
      const coded = jpegOf(frame);
      sent = sent.then(async () => {
        const file = await coded;
        if (socket.readyState === WebSocket.OPEN) socket.send(file);
      });
    },
    close() {
      closed = true;
      socket.close();
    },
  };
}

async function jpegOf(frame: ImageBitmap): Promise<Blob> {
  const sheet = new OffscreenCanvas(frame.width, frame.height);
  sheet.getContext("bitmaprenderer")!.transferFromImageBitmap(frame);
  return await sheet.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}

export const rest: Engine = {
  methods: () => get<Method[]>("v1/methods"),
  detect: (photo, kinds, preview, signal, doing) => post<Detected>(
    "v1/detect", { photo, covers: kinds.join(","), preview: String(preview) }, "Finding faces", signal, doing),
  complete: ({ photo, mask, method, seed, samples, first, largeHole, preview }: Wish, signal, doing) => post<Completed>("v1/complete", {
    photo, mask, method: method.name, seed: String(seed), samples: String(samples), large_hole: String(largeHole),
    preview: String(preview), first: String(first),
  }, sayMethod(method), signal, doing),
  watch,
};
