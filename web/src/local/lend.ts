/** Networks of one worker for another: while they run, the other one goes on. */

import { LIVE, type LiveNetworks } from "./load";
import type { Inputs, Network } from "./network";

interface Asked { id: number; name: keyof LiveNetworks; inputs: Inputs }
type Said = { id: number; said: Awaited<ReturnType<Network>> } | { id: number; failed: string };

export function lend(networks: LiveNetworks, port: MessagePort): void {
  port.onmessage = ({ data: { id, name, inputs } }: MessageEvent<Asked>) => void networks[name](inputs).then(
    (said) => port.postMessage({ id, said } satisfies Said), (error: unknown) => port.postMessage({ id, failed: String(error) } satisfies Said));
}

export function borrow(port: MessagePort): LiveNetworks {
  const waiting = new Map<number, { resolve: (said: Awaited<ReturnType<Network>>) => void; reject: (error: Error) => void }>();
  let count = 0;
  port.onmessage = ({ data }: MessageEvent<Said>) => {
    const asked = waiting.get(data.id)!;
    waiting.delete(data.id);
    if ("said" in data) asked.resolve(data.said);
    else asked.reject(new Error(data.failed));
  };
  const ask = (name: keyof LiveNetworks): Network => async (inputs) => await new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject });
    port.postMessage({ id: count, name, inputs } satisfies Asked);
  });
  return Object.fromEntries(LIVE.map((name) => [name, ask(name)])) as LiveNetworks;
}
