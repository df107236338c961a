/** Fetches networks and libraries from beside the page when they are first needed, and tells how far it is. */

import factory from "opencv";
import * as ort from "onnxruntime-web/webgpu";
import type { Contents } from "./messages";
import type { Network } from "./network";
import { use } from "./opencv";
import { Refusal } from "./plan";
import { agree, chooseProvider, type Provider } from "./provider";

/** What a photo takes. */
const NETWORKS = ["finder", "second_look", "cover", "swift"] as const;
/** What a live camera takes. */
export const LIVE = [...NETWORKS, "camera"] as const;
export type Networks = Record<typeof NETWORKS[number], Network>;
export type LiveNetworks = Record<typeof LIVE[number], Network>;
type Tell = (share: number) => void;

/** A photo's networks, ready to run, and what opens the camera's. Both raise Refusal where something does not come. */
export async function load(base: string, contents: Contents, tell: Tell): Promise<Networks & { openCamera: (tell: Tell) => Promise<Network> }> {
  const { weights } = contents, { name, threads, script, binary } = await chooseProvider();
  const [opencv, runtime, ...models] = take(base, contents, ["runtime/opencv.bin", binary, ...NETWORKS.map((each) => weights[each]!.file)], tell) as
    [Promise<Uint8Array>, Promise<Uint8Array>, ...Promise<Uint8Array>[]];
  await startOpenCv(await opencv);
  Object.assign(ort.env.wasm, { numThreads: threads, wasmPaths: { mjs: new URL(script, base).href }, wasmBinary: (await runtime).buffer });
  const [finder, second, cover, whole] = await Promise.all(models) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const [swift, used] = await openSwift(whole, name);
  return {
    finder: await open(finder, used), second_look: await open(second, used), cover: await open(cover, used), swift,
    async openCamera(told) {
      const { camera, swift } = weights, path = swift!.file.split("/").at(-1)!; // which holds most of the camera's tensors, too
      const [model, data] = await Promise.all(take(base, contents, [camera!.file, swift!.file], told)) as [Uint8Array, Uint8Array];
      return await open(model, used, [{ path, data }]);
    },
  };
}

/** Files from beside the page. tell: is told how much of all of them has come. */
function take(base: string, { files }: Contents, paths: readonly string[], tell: Tell): Promise<Uint8Array>[] {
  const got = new Map<string, number>(), total = paths.reduce((sum, path) => sum + files[path]!, 0);
  return paths.map(async (path) => await read(new URL(path, base), (size) => {
    got.set(path, size);
    tell([...got.values()].reduce((sum, each) => sum + each) / total);
  }));
}

export const loadOpenCv = async (base: string): Promise<void> => await startOpenCv(await read(new URL("runtime/opencv.bin", base)));

async function startOpenCv(wasmBinary: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    const binding = factory({ wasmBinary, onRuntimeInitialized: () => {
      use(binding);
      resolve();
    } });
  });
}

/** On the graphics processor only where that draws what WebAssembly draws; and what all networks are to run on. */
async function openSwift(model: Uint8Array, name: Provider["name"]): Promise<[Network, Provider["name"]]> {
  const fast = name === "webgpu" ? await open(model, name).catch(() => null) : null, sure = await open(model, "wasm");
  return fast && await agree(fast, sure) ? [fast, "webgpu"] : [sure, "wasm"];
}

/** beside: files that hold tensors of the model. */
async function open(model: Uint8Array, provider: Provider["name"], beside: { path: string; data: Uint8Array }[] = []): Promise<Network> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider, "wasm"], externalData: beside, logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: "0" } } }, // other work of the page is to have the cores meanwhile
  });
  return async (inputs) => {
    const given = Object.entries(inputs).map(([name, { data, shape }]) => [name, new ort.Tensor("float32", data, shape)] as const);
    const said = (await session.run(Object.fromEntries(given)))[session.outputNames[0]!]!;
    return { shape: said.dims, data: said.data as Float32Array };
  };
}

/** A file, unpacked where it is a gzip. */
async function read(url: URL, tell?: (size: number) => void): Promise<Uint8Array> {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok || !answer.body) {
    throw new Refusal("the page's own files", `none at ${url.pathname}`, "look at the network, and try again");
  }
  const parts: BlobPart[] = [], reader = answer.body.getReader();
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    tell?.(size += next.value.length);
  }
  const blob = new Blob(parts), [one, two] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const plain = one === 0x1f && two === 0x8b ? new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))) : new Response(blob);
  return new Uint8Array(await plain.arrayBuffer());
}
