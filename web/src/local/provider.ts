/** On what of the device the networks run. */

import type { Network } from "./network";

const MOST_THREADS = 4, SIDE_PX = 64, SAME = 1 / 127.5;

/** An execution provider of ONNX Runtime, and its files beside the page. threads: of WebAssembly, which runs what a
 * graphics processor cannot. */
export interface Provider { name: "webgpu" | "wasm"; threads: number; script: string; binary: string }

/** WebGPU where there is a graphics processor, else WebAssembly with several threads where memory may be shared, else
 * with one. */
export async function chooseProvider(): Promise<Provider> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const threads = globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  return adapter && !adapter.info.isFallbackAdapter // which is a processor that plays one
    ? { name: "webgpu", threads, script: "runtime/ort-webgpu.mjs", binary: "runtime/ort-webgpu.bin" }
    : { name: "wasm", threads, script: "runtime/ort.mjs", binary: "runtime/ort.bin" };
}

/** Whether two ways to run `swift` draw the same, to a grey level: on a small face without its mouth. */
export async function agree(one: Network, other: Network): Promise<boolean> {
  const size = SIDE_PX ** 2, shape = (planes: number): number[] => [1, planes, SIDE_PX, SIDE_PX];
  const mask = Float32Array.from({ length: size }, (_, at) => Number(at > 0.6 * size && at < 0.9 * size));
  const inputs = {
    image: { shape: shape(3), data: Float32Array.from({ length: 3 * size }, (_, at) => Math.sin(at / 7) * (1 - mask[at % size]!)) },
    mask: { shape: shape(1), data: mask }, noise: { shape: shape(1), data: new Float32Array(size) },
    landmarks: { shape: [1, 5, 2], data: Float32Array.of(24, 30, 40, 30, 32, 39, 25, 47, 39, 47) },
  };
  try {
    const [mine, theirs] = [(await one(inputs)).data, (await other(inputs)).data];
    return mine.length === theirs.length && mine.every((value, at) => Math.abs(value - theirs[at]!) <= SAME);
  } catch {
    return false; // a driver that fails is no provider
  }
}
