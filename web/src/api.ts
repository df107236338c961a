/** The server's answers, and requests that show progress and can be cancelled. */

export interface Cover { x: number; y: number; width: number; height: number; png: string }
export interface Face { box: [number, number, number, number]; score: number; cover: Cover | null; warnings: string[] }
export interface Picture {
  width: number; height: number; format: string; faces: Face[]; warnings: string[];
  timings_ms: Record<string, number>; preview: string | null;
}
export interface Completed extends Picture {
  photo: string; media_type: string; mask: string; method: string; seed: number; samples: string[];
  spread: string | null; sample_distance: number | null; invented: string;
}
export interface Method {
  name: string; title: string; kind: string; paper: string; needs: string; usable: boolean; varies: boolean;
  ms: number | null;
}

/** What went wrong, in the server's three parts. */
export class Trouble extends Error {
  constructor(readonly status: number, readonly what: string, readonly fix: string) {
    super(what);
  }
}

export const CANCELLED = new Trouble(0, "Cancelled.", "");

let token = sessionStorage.getItem("token") ?? "";

export function setToken(value: string): void {
  token = value;
  sessionStorage.setItem("token", value);
}

function headers(): Record<string, string> {
  return token ? { Accept: "application/json", Authorization: `Bearer ${token}` } : { Accept: "application/json" };
}

export async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { headers: headers() });
  if (!answer.ok) throw trouble(answer.status, await answer.text());
  return await answer.json() as T;
}

function trouble(status: number, body: string): Trouble {
  try {
    const { expected, got, fix } = (JSON.parse(body) as { error: Record<string, string> }).error;
    return new Trouble(status, `Expected ${expected}, but got ${got}.`, `${fix![0]!.toUpperCase()}${fix!.slice(1)}.`);
  } catch {
    return new Trouble(status, "The server gave no sensible answer.", "Try again; if it stays so, look at the server's log.");
  }
}

export type Doing = (what: string, share: number | null) => void;

const STAGES: Record<string, string> = {
  uploading: "Sending", waiting: "Waiting", looking: "Finding faces", completing: "Completing", writing: "Writing the photo",
};

/** Post a form. doing: is told how far it is; share is null while nobody knows. */
export function post<T>(path: string, form: Record<string, Blob | string>, signal: AbortSignal, doing: Doing): Promise<T> {
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
    request.upload.onprogress = (event) => doing(STAGES.uploading!, event.loaded / event.total);
    request.upload.onload = () => {
      doing(STAGES.waiting!, null);
      watching = window.setInterval(() => void watch(name, doing), 500);
    };
    request.onload = () => {
      end();
      if (request.status === 200) resolve(JSON.parse(request.responseText) as T);
      else reject(trouble(request.status, request.responseText));
    };
    request.onerror = () => {
      end();
      reject(new Trouble(0, "The server does not answer.", "See whether it still runs: facefill serve."));
    };
    signal.addEventListener("abort", cancel);
    if (signal.aborted) cancel();
    else request.send(body);
  });
}

async function watch(name: string, doing: Doing): Promise<void> {
  const answer = await fetch(`/v1/progress/${name}`, { headers: headers() });
  if (!answer.ok) return;
  const { stage, ahead } = await answer.json() as { stage: string; ahead: number };
  doing(ahead ? `Waiting, ${ahead} before you` : STAGES[stage] ?? stage, null);
}

export function fromBase64(text: string, type: string): Blob {
  return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type });
}
