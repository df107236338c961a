/** Pictures, planes and masks in memory, and the few sums over them that NumPy has and JavaScript has not.
 *
 * Points are [x, y] in pixels with (0, 0) at the centre of the first, as in the Python package. */

export interface Grid<Data> { readonly height: number; readonly width: number; readonly channels: number; readonly data: Data }
/** Levels of 0 to 255, row by row, channels together. */
export type Bytes = Grid<Uint8Array>;
export type Floats = Grid<Float32Array>;
/** One channel, 1 = missing, else 0. */
export type Mask = Bytes;
export type Point = readonly [x: number, y: number];
/** x0, y0, x1, y1: the first pixels inside and the first ones behind. */
export type Box = readonly [number, number, number, number];

export const bytes = (height: number, width: number, channels = 1): Bytes =>
  ({ height, width, channels, data: new Uint8Array(height * width * channels) });
export const floats = (height: number, width: number, channels = 1): Floats =>
  ({ height, width, channels, data: new Float32Array(height * width * channels) });

export const copyOf = (grid: Bytes): Bytes => ({ ...grid, data: grid.data.slice() });
export const widthOf = (box: Box): number => box[2] - box[0];
export const heightOf = (box: Box): number => box[3] - box[1];

/** Each value of one or two grids of the same shape through a function. */
export function mapBytes(grid: Grid<ArrayLike<number>>, of: (value: number, index: number) => number | boolean): Bytes {
  const made = bytes(grid.height, grid.width, grid.channels);
  for (let index = 0; index < made.data.length; index++) made.data[index] = Number(of(grid.data[index]!, index));
  return made;
}

export function mapFloats(grid: Grid<ArrayLike<number>>, of: (value: number, index: number) => number): Floats {
  const made = floats(grid.height, grid.width, grid.channels);
  for (let index = 0; index < made.data.length; index++) made.data[index] = of(grid.data[index]!, index);
  return made;
}

export const not = (mask: Mask): Mask => mapBytes(mask, (value) => !value);
export const or = (one: Mask, other: Mask): Mask => mapBytes(one, (value, index) => value || other.data[index]!);
export const and = (one: Mask, other: Mask): Mask => mapBytes(one, (value, index) => value && other.data[index]!);
export const any = (mask: Mask): boolean => mask.data.includes(1);
export const all = (mask: Mask): boolean => !mask.data.includes(0);

export function count(mask: Mask): number {
  let sum = 0;
  for (const value of mask.data) sum += value;
  return sum;
}

/** A part of a picture, as a copy. */
export function cut<Data extends Uint8Array | Float32Array>(grid: Grid<Data>, [x0, y0, x1, y1]: Box): Grid<Data> {
  const { channels, width } = grid, row = (x1 - x0) * channels;
  const data = new (grid.data.constructor as new (length: number) => Data)((y1 - y0) * row);
  for (let y = y0; y < y1; y++) {
    const from = (y * width + x0) * channels;
    data.set(grid.data.subarray(from, from + row) as never, (y - y0) * row);
  }
  return { height: y1 - y0, width: x1 - x0, channels, data };
}

/** Write a part back to where it was cut. */
export function paste(into: Bytes, part: Bytes, x0: number, y0: number): void {
  const row = part.width * part.channels;
  for (let y = 0; y < part.height; y++) {
    into.data.set(part.data.subarray(y * row, (y + 1) * row), ((y + y0) * into.width + x0) * into.channels);
  }
}

/** Write the missing pixels of a picture over those of another one of its size. */
export function copyMissing(from: Bytes, missing: Mask, into: Bytes): void {
  const { channels } = from;
  for (let pixel = 0; pixel < missing.data.length; pixel++) {
    if (!missing.data[pixel]) continue;
    for (let at = pixel * channels; at < (pixel + 1) * channels; at++) into.data[at] = from.data[at]!;
  }
}

/** The smallest box with every missing pixel, grown by a margin but not beyond the picture; all zero without one. */
export function boundingBox(mask: Mask, margin = 0): Box {
  const { width, height, data } = mask;
  let x0 = width, y0 = height, x1 = 0, y1 = 0;
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width), first = row.indexOf(1);
    if (first < 0) continue;
    x0 = Math.min(x0, first);
    x1 = Math.max(x1, row.lastIndexOf(1) + 1);
    y0 = Math.min(y0, y);
    y1 = y + 1;
  }
  if (!x1) return [0, 0, 0, 0];
  return [Math.max(x0 - margin, 0), Math.max(y0 - margin, 0), Math.min(x1 + margin, width), Math.min(y1 + margin, height)];
}

/** To the nearest whole number, of two to the even one, as Python and NumPy round. */
export function rint(value: number): number {
  const low = Math.floor(value), rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
export const level = (value: number): number => clamp(rint(value), 0, 255);

/** The value below which that share of the others lies, between the two nearest; 0 of none. Sorts `values`. */
export function quantile(values: Float32Array, share: number): number {
  if (!values.length) return 0;
  values.sort();
  const place = share * (values.length - 1), low = Math.floor(place), high = Math.min(low + 1, values.length - 1);
  return values[low]! + (values[high]! - values[low]!) * (place - low);
}

/** Values of a channel where a mask is set, of every `step`-th pixel and row. */
export function chosen(grid: Grid<ArrayLike<number>>, mask: Mask, channel = 0, step = 1): Float32Array {
  const found: number[] = [];
  for (let y = 0; y < mask.height; y += step) {
    for (let x = 0; x < mask.width; x += step) {
      const pixel = y * mask.width + x;
      if (mask.data[pixel]) found.push(grid.data[pixel * grid.channels + channel]!);
    }
  }
  return Float32Array.from(found);
}

/** Some bytes of a file as text. */
export const ascii = (data: Uint8Array, start: number, length: number): string => String.fromCharCode(...data.subarray(start, start + length));
