/** Networks of one worker for another: while they run, the other one goes on. */

import type { Networks } from "./load";
import { NETWORKS } from "./load";
import type { Inputs, Network } from "./network";

interface Asked { id: number; name: keyof Networks; inputs: Inputs }
type Said = { id: number; said: Awaited<ReturnType<Network>> } | { id: number; failed: string };

export function lend(networks: Networks, port: MessagePort): void {
  port.onmessage = ({ data: { id, name, inputs } }: MessageEvent<Asked>) => void networks[name](inputs).then(
    (said) => port.postMessage({ id, said } satisfies Said), (error: unknown) => port.postMessage({ id, failed: String(error) } satisfies Said));
}

export function borrow(port: MessagePort): Networks {
  const waiting = new Map<number, { resolve: (said: Awaited<ReturnType<Network>>) => void; reject: (error: Error) => void }>();
  let count = 0;
  port.onmessage = ({ data }: MessageEvent<Said>) => {
    const asked = waiting.get(data.id)!;
    waiting.delete(data.id);
    if ("said" in data) asked.resolve(data.said);
    else asked.reject(new Error(data.failed));
  };
  const ask = (name: keyof Networks): Network => async (inputs) => await new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject });
    port.postMessage({ id: count, name, inputs } satisfies Asked);
  });
  return Object.fromEntries(NETWORKS.map((name) => [name, ask(name)])) as Networks;
}
