import { afterEach, describe, expect, it, vi } from "vitest";

import type { Network } from "../src/local/network";
import { agree, chooseProvider } from "../src/local/provider";

afterEach(() => { vi.unstubAllGlobals(); });

describe("networks run", () => {
  const on = async (gpu: unknown, isolated = true): Promise<unknown[]> => {
    vi.stubGlobal("navigator", { hardwareConcurrency: 8, gpu });
    vi.stubGlobal("crossOriginIsolated", isolated);
    const { name, threads, script, binary } = await chooseProvider();
    expect([script, binary]).toEqual(name === "webgpu" ? ["runtime/ort-webgpu.mjs", "runtime/ort-webgpu.bin"] : ["runtime/ort.mjs", "runtime/ort.bin"]);
    return [name, threads];
  };

  it("on a graphics processor where there is one", async () => {
    expect(await on({ requestAdapter: () => Promise.resolve({ info: { isFallbackAdapter: false } }) })).toEqual(["webgpu", 4]);
  });

  it("else in WebAssembly: on several threads where memory may be shared, else on one", async () => {
    expect(await on(undefined)).toEqual(["wasm", 4]);
    expect(await on(undefined, false)).toEqual(["wasm", 1]);
  });

  it("in WebAssembly too where WebGPU finds no graphics processor, or refuses", async () => {
    expect(await on({ requestAdapter: () => Promise.resolve({ info: { isFallbackAdapter: true } }) })).toEqual(["wasm", 4]);
    expect(await on({ requestAdapter: () => Promise.resolve(null) })).toEqual(["wasm", 4]);
    expect(await on({ requestAdapter: () => Promise.reject(new Error("blocked")) })).toEqual(["wasm", 4]);
  });
});

it("a graphics processor is trusted where it draws what WebAssembly draws", async () => {
  const drawn = (off: number): Network => ({ image }) => Promise.resolve({ shape: image!.shape, data: image!.data.map((value, at) => at === 9 ? value + off : value) });
  expect(await agree(drawn(0), drawn(0.005))).toBe(true);
  expect(await agree(drawn(0), drawn(0.02))).toBe(false);
  expect(await agree(drawn(NaN), drawn(0))).toBe(false);
  expect(await agree(() => Promise.reject(new Error("device lost")), drawn(0))).toBe(false);
});
