/** The networks, by ONNX Runtime, and pictures as they take them. */

import { level, type Bytes, type Floats, type Mask } from "./arrays";

export type Inputs = Record<string, { shape: readonly number[]; data: Float32Array }>;
/** A loaded network: its only output. */
export type Network = (inputs: Inputs) => Promise<{ shape: readonly number[]; data: Float32Array }>;

/** A picture as a network takes it: planes of -1 to 1. hole: missing pixels hold that value. */
export function toNetwork(picture: Bytes, missing: Mask | null = null, hole = 0): Inputs[string] {
  const { height, width } = picture, size = height * width, data = new Float32Array(3 * size);
  for (let at = 0; at < size; at++) {
    for (let channel = 0; channel < 3; channel++) {
      data[channel * size + at] = missing?.data[at] ? hole : Math.fround(picture.data[3 * at + channel]! / 127.5) - 1;
    }
  }
  return { shape: [1, 3, height, width], data };
}

export const plane = (grid: Mask | Floats): Inputs[string] =>
  ({ shape: [1, 1, grid.height, grid.width], data: Float32Array.from(grid.data) });

/** Planes of -1 to 1 as a picture. */
export function fromNetwork(planes: Float32Array, height: number, width: number): Bytes {
  const size = height * width, data = new Uint8Array(3 * size);
  for (let at = 0; at < size; at++) {
    for (let channel = 0; channel < 3; channel++) data[3 * at + channel] = level(Math.fround(planes[channel * size + at]! + 1) * 127.5);
  }
  return { height, width, channels: 3, data };
}

/** A picture with left and right exchanged. */
export function mirror(picture: Bytes): Bytes {
  const { width, channels } = picture, data = new Uint8Array(picture.data.length);
  for (let at = 0; at < data.length; at++) {
    const pixel = Math.floor(at / channels), x = pixel % width;
    data[at] = picture.data[(pixel - x + width - 1 - x) * channels + at % channels]!;
  }
  return { ...picture, data };
}
