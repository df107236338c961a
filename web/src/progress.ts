/** Long work: one thing at a time, with its progress, a way to cancel it, and plain words where it fails. */

import { CANCELLED, Trouble } from "./engine";
import { askToken } from "./dialogs";
import { $, button, say } from "./dom";
import { showTrouble } from "./panel";

let running: AbortController | null = null;

export const isWorking = (): boolean => running !== null;
export const cancel = (): void => running?.abort();

/** Show what is being done, and how much of it; null while nobody knows. */
export function doing(what: string, share: number | null): void {
  const bar = $<HTMLProgressElement>("#progress progress");
  if ($("#doing").textContent !== what) say(what);
  $("#doing").textContent = what;
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
}

/** What the task gives, null where it was cancelled or failed. What ran before is cancelled. */
export async function work<T>(what: string, task: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  cancel();
  const mine = running = new AbortController(), start = performance.now();
  const tick = window.setInterval(() => {
    const seconds = Math.floor((performance.now() - start) / 1000);
    $("#elapsed").textContent = seconds ? `${seconds} s` : "";
  }, 500);
  document.body.dataset.busy = "yes";
  showTrouble(null);
  doing(what, null);
  $("#progress").hidden = button("cancel").hidden = false;
  try {
    return await task(mine.signal);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (error.status === 401) {
      await askToken();
      return await work(what, task);
    }
    if (error === CANCELLED) say("Cancelled");
    else showTrouble(error);
    return null;
  } finally {
    clearInterval(tick);
    if (running === mine) {
      running = null;
      delete document.body.dataset.busy;
      $("#progress").hidden = button("cancel").hidden = true;
      $("#elapsed").textContent = "";
    }
  }
}
