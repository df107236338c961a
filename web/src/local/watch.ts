/** A worker that watches a camera: frames in, completed frames out, in their order. */

import { bytes, cut, type Bytes } from "./arrays";
import { imageOf } from "./files";
import { borrow } from "./lend";
import { loadOpenCv } from "./load";
import type { Seen } from "./messages";
import { Stream } from "./stream";

/** Watch from now on. port: the networks of another worker. */
export async function watch(base: string, port: MessagePort): Promise<void> {
  await loadOpenCv(base);
  const stream = new Stream(borrow(port)), sheet = new OffscreenCanvas(1, 1), ink = sheet.getContext("2d", { willReadFrequently: true })!;
  let turn: Promise<void> = Promise.resolve();
  const take = async (frame: ImageBitmap): Promise<void> => {
    const start = performance.now(), { width, height } = frame;
    if (sheet.width !== width || sheet.height !== height) [sheet.width, sheet.height] = [width, height];
    ink.drawImage(frame, 0, 0);
    frame.close();
    try {
      const { pixels, box, faces, completed, drawn, tooCovered } = await stream.show(rgbOf(ink.getImageData(0, 0, width, height)));
      if (completed) ink.putImageData(imageOf(cut(pixels, box)), box[0], box[1]);
      const shown = sheet.transferToImageBitmap(), ms = performance.now() - start;
      postMessage({ frame: shown, said: { faces, completed, drawn, too_covered: tooCovered, ms } } satisfies Seen, { transfer: [shown] });
    } catch (error) {
      postMessage({ failed: String(error) } satisfies Seen);
    }
  };
  onmessage = ({ data: frame }: MessageEvent<ImageBitmap>) => { turn = turn.then(() => take(frame)); };
  postMessage("ready" satisfies Seen);
}

function rgbOf({ width, height, data }: ImageData): Bytes {
  const made = bytes(height, width, 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    made.data[to++] = data[from]!;
    made.data[to++] = data[from + 1]!;
    made.data[to++] = data[from + 2]!;
  }
  return made;
}
