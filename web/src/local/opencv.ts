/** The OpenCV functions that the engine uses, on grids: the very ones that the Python package calls. */

import { bytes, cut, floats, type Box, type Bytes, type Floats, type Grid, type Mask, type Point } from "./arrays";

/** What of OpenCV's binding is used here. */
export interface Mat { data: Uint8Array; data32F: Float32Array; data32S: Int32Array; data64F: Float64Array; rows: number; cols: number;
  channels(): number; delete(): void }
type Size = { width: number; height: number };
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the binding has no types of its own
type Binding = Record<string, any>;

let cv: Binding = {};
export const use = (binding: Binding): void => { cv = binding; };

/** A similarity or affine map, row by row: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]. */
export type Matrix = readonly [number, number, number, number, number, number];
export type How = "area" | "linear" | "cubic" | "lanczos";

const interpolation = (how: How): number =>
  cv[{ area: "INTER_AREA", linear: "INTER_LINEAR", cubic: "INTER_CUBIC", lanczos: "INTER_LANCZOS4" }[how]] as number;
const size = (width: number, height: number): Size => new cv.Size(width, height) as Size;
const black = (): unknown => new cv.Scalar(0, 0, 0, 0);

/** Calls with matrices that are gone afterwards. */
function scope<T>(work: (take: (grid: Grid<Uint8Array | Float32Array>) => Mat, empty: () => Mat) => T): T {
  const mats: Mat[] = [];
  const keep = (mat: Mat): Mat => {
    mats.push(mat);
    return mat;
  };
  try {
    return work((grid) => {
      const isByte = grid.data instanceof Uint8Array;
      const mat = keep(new cv.Mat(grid.height, grid.width, cv[`CV_${isByte ? "8U" : "32F"}C${grid.channels}`]) as Mat);
      (isByte ? mat.data : mat.data32F).set(grid.data);
      return mat;
    }, () => keep(new cv.Mat() as Mat));
  } finally {
    for (const mat of mats) mat.delete();
  }
}

const bytesOf = (mat: Mat): Bytes => ({ height: mat.rows, width: mat.cols, channels: mat.channels(), data: mat.data.slice() });
const floatsOf = (mat: Mat): Floats => ({ height: mat.rows, width: mat.cols, channels: mat.channels(), data: mat.data32F.slice() });

/** Samples of a picture mirrored beyond its edges; `matrix` maps pixels of the result to it. */
export function warp(source: Bytes, matrix: Matrix, width: number, height: number, how: How): Bytes {
  return scope((take, empty) => {
    const out = empty(), map = new cv.Mat(2, 3, cv.CV_64FC1) as Mat;
    map.data64F.set(matrix);
    cv.warpAffine(take(source), out, map, size(width, height), interpolation(how) | (cv.WARP_INVERSE_MAP as number), cv.BORDER_REFLECT,
      black());
    map.delete();
    return bytesOf(out);
  });
}

export function resize<Data extends Uint8Array | Float32Array>(source: Grid<Data>, width: number, height: number, how: How): Grid<Data> {
  return scope((take, empty) => {
    const out = empty();
    cv.resize(take(source), out, size(width, height), 0, 0, interpolation(how));
    return (source.data instanceof Uint8Array ? bytesOf(out) : floatsOf(out)) as Grid<never>;
  });
}

/** sigma in pixels. Border: mirrored with the edge twice, or OpenCV's own, without it. */
export function gauss<Data extends Uint8Array | Float32Array>(source: Grid<Data>, sigma: number, reflect: boolean): Grid<Data> {
  return scope((take, empty) => {
    const out = empty();
    cv.GaussianBlur(take(source), out, size(0, 0), sigma, 0, reflect ? cv.BORDER_REFLECT : cv.BORDER_DEFAULT);
    return (source.data instanceof Uint8Array ? bytesOf(out) : floatsOf(out)) as Grid<never>;
  });
}

/** The mean over squares of that side. */
export function blur(source: Floats, side: number, reflect: boolean): Floats {
  return scope((take, empty) => {
    const out = empty();
    cv.blur(take(source), out, size(side, side), new cv.Point(-1, -1), reflect ? cv.BORDER_REFLECT : cv.BORDER_DEFAULT);
    return floatsOf(out);
  });
}

/** Holes filled by fast marching inwards (Telea 2004), hidden pixels never looked at. */
export function telea(picture: Bytes, missing: Mask): Bytes {
  const shown = { ...picture, data: picture.data.map((value, at) => missing.data[Math.floor(at / picture.channels)] ? 0 : value) };
  return scope((take, empty) => {
    const out = empty();
    cv.inpaint(take(shown), take(missing), out, 3, cv.INPAINT_TELEA);
    return bytesOf(out);
  });
}

/** Distance in pixels from each missing pixel to the nearest known one. */
export function distance(missing: Mask, maskSize: 3 | 5): Floats {
  return scope((take, empty) => {
    const out = empty();
    cv.distanceTransform(take(missing), out, cv.DIST_L2, maskSize);
    return floatsOf(out);
  });
}

/** (H, W, C), at each pixel what the picture is at the nearest one that is known. */
export function nearest(picture: Bytes, known: Mask): Bytes {
  return scope((take, empty) => {
    const labels = empty(), { channels } = picture;
    const away: Mask = { ...known, data: known.data.map((value) => 1 - value) };
    cv.distanceTransformWithLabels(take(away), empty(), labels, cv.DIST_L2, 5, cv.DIST_LABEL_PIXEL);
    const label = labels.data32S, at = new Int32Array(known.data.length + 1);
    for (let pixel = 0; pixel < known.data.length; pixel++) if (known.data[pixel]) at[label[pixel]!] = pixel;
    const made = bytes(picture.height, picture.width, channels);
    for (let pixel = 0; pixel < known.data.length; pixel++) {
      const from = at[label[pixel]!]! * channels;
      for (let channel = 0; channel < channels; channel++) made.data[pixel * channels + channel] = picture.data[from + channel]!;
    }
    return made;
  });
}

export interface Pieces {
  /** The number of each pixel's piece, 0 for none. */
  labels: Int32Array;
  /** Pixels of each piece, [0] those of none. */
  areas: number[];
  /** Boxes of the pieces, as [x, y, width, height]. */
  boxes: [number, number, number, number][];
  /** Their mean places. */
  centres: [number, number][];
}

/** What hangs together over 4 or 8 neighbours. */
export function pieces(mask: Mask, neighbours: 4 | 8): Pieces {
  return scope((take, empty) => {
    const labels = empty(), stats = empty(), centres = empty();
    cv.connectedComponentsWithStats(take(mask), labels, stats, centres, neighbours, cv.CV_32S);
    const found: Pieces = { labels: labels.data32S.slice(), areas: [], boxes: [], centres: [] };
    for (let index = 0; index < stats.rows; index++) {
      const [x, y, width, height, area] = stats.data32S.subarray(index * 5, index * 5 + 5);
      found.areas.push(area!);
      found.boxes.push([x!, y!, width!, height!]);
      found.centres.push([centres.data64F[2 * index]!, centres.data64F[2 * index + 1]!]);
    }
    return found;
  });
}

/** Grown by a shape of that radius. */
export function dilate(mask: Mask, shape: "square" | "cross" | "disc", radius: number): Mask {
  return scope((take, empty) => {
    const out = empty(), kind = { square: "MORPH_RECT", cross: "MORPH_CROSS", disc: "MORPH_ELLIPSE" }[shape];
    const kernel = cv.getStructuringElement(cv[kind], size(2 * radius + 1, 2 * radius + 1)) as Mat;
    cv.dilate(take(mask), out, kernel);
    kernel.delete();
    return bytesOf(out);
  });
}

export function filter(source: Floats, kernel: Floats): Floats {
  return scope((take, empty) => {
    const out = empty();
    cv.filter2D(take(source), out, cv.CV_32F, take(kernel), new cv.Point(-1, -1), 0, cv.BORDER_REFLECT);
    return floatsOf(out);
  });
}

export function grey<Data extends Uint8Array | Float32Array>(source: Grid<Data>): Grid<Data> {
  return scope((take, empty) => {
    const out = empty();
    cv.cvtColor(take(source), out, cv.COLOR_RGB2GRAY);
    return (source.data instanceof Uint8Array ? bytesOf(out) : floatsOf(out)) as Grid<never>;
  });
}

/** The sum of products of two values of a plane for each offset up to `reach`, (2 reach + 1) squared. */
export function correlate(layer: Floats, reach: number): Floats {
  return scope((take, empty) => {
    const high = cv.getOptimalDFTSize(layer.height + reach) as number, wide = cv.getOptimalDFTSize(layer.width + reach) as number;
    const padded = floats(high, wide), spectrum = empty(), back = empty();
    for (let y = 0; y < layer.height; y++) {
      padded.data.set(layer.data.subarray(y * layer.width, (y + 1) * layer.width), y * wide);
    }
    cv.dft(take(padded), spectrum, cv.DFT_COMPLEX_OUTPUT, 0);
    const values = spectrum.data32F;
    for (let at = 0; at < values.length; at += 2) {
      values[at] = values[at]! ** 2 + values[at + 1]! ** 2;
      values[at + 1] = 0;
    }
    cv.dft(spectrum, back, (cv.DFT_INVERSE as number) | (cv.DFT_SCALE as number) | (cv.DFT_REAL_OUTPUT as number), 0);
    const side = 2 * reach + 1, near = floats(side, side);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        near.data[y * side + x] = back.data32F[((y - reach + high) % high) * wide + (x - reach + wide) % wide]!;
      }
    }
    return near;
  });
}

/** A picture with an edge of that many rows and columns below and beside, which repeats its last ones. */
export function extend(source: Bytes, below: number, beside: number): Bytes {
  const { channels } = source, height = source.height + below, width = source.width + beside, made = bytes(height, width, channels);
  for (let y = 0; y < height; y++) {
    const row = cut(source, [0, Math.min(y, source.height - 1), source.width, Math.min(y, source.height - 1) + 1]).data;
    made.data.set(row, y * width * channels);
    for (let x = source.width; x < width; x++) made.data.set(row.subarray(row.length - channels), (y * width + x) * channels);
  }
  return made;
}

const CORNERS = 80, FLOW_WINDOW_PX = 15, FLOW_LEVELS = 3;

/** Corners in a window of a plane and where they are in the next plane, as far as they move together: Lucas & Kanade 1981
 * on pyramids, with RANSAC against what moves otherwise. */
export function follow(last: Bytes, next: Bytes, window: Box): { start: Point[]; end: Point[] } {
  return scope((take, empty) => {
    const corners = empty(), moved = empty(), seen = empty(), inner = empty(), start: Point[] = [], end: Point[] = [];
    cv.goodFeaturesToTrack(take(cut(last, window)), corners, CORNERS, 0.01, 3, empty(), 3, false, 0.04);
    if (corners.rows < 3) return { start, end };
    const from = corners.data32F;
    for (let at = 0; at < from.length; at++) from[at] = from[at]! + window[at % 2]!;
    cv.calcOpticalFlowPyrLK(take(last), take(next), corners, moved, seen, empty(), size(FLOW_WINDOW_PX, FLOW_WINDOW_PX), FLOW_LEVELS);
    const points = (of: Mat): Point[] => Array.from({ length: of.rows }, (_, at) => [of.data32F[2 * at]!, of.data32F[2 * at + 1]!]);
    const [before, after] = [points(corners), points(moved)].map((all) => all.filter((_, at) => seen.data[at])) as [Point[], Point[]];
    if (before.length < 3) return { start, end };
    const flat = (all: Point[]): Mat => take({ height: all.length, width: 1, channels: 2, data: Float32Array.from(all.flat()) });
    (cv.estimateAffine2D(flat(before), flat(after), inner, cv.RANSAC, 1, 2000, 0.99, 10) as Mat).delete();
    inner.data.forEach((value, at) => {
      if (!value) return;
      start.push(before[at]!);
      end.push(after[at]!);
    });
    return { start, end };
  });
}
