/** What a completed face lacks beside the photo that it is enlarged into, as `facefill.imaging.detail`: the contrast of
 * small things, and grain. */

import {
  bytes, chosen, clamp, copyMissing, copyOf, count, cut, boundingBox, floats, level, mapFloats, paste, quantile, rint, any,
  type Bytes, type Floats, type Mask,
} from "./arrays";
import { windows } from "./blend";
import { blur, correlate, distance, filter, gauss, grey } from "./opencv";
import type { Random } from "./random";

const BAND_PX = [2, 7] as const, GAIN = 0.47, BORDER_PX = 8, UNCLIPPED = [12, 243] as const, CALM = 0.1, SPREAD = 1.2, SKIN_LEVELS = 3;

const asFloats = (picture: Bytes): Floats => ({ ...picture, data: Float32Array.from(picture.data) });

/** The patch with more contrast of small things in the hole. enlarged: photo pixels per patch pixel. */
export function restoreContrast(patch: Bytes, mask: Mask, enlarged: number): Bytes {
  const gain = GAIN * clamp((enlarged - 1) / 0.25, 0, 1);
  if (!gain || !any(mask)) return patch;
  const picture = asFloats(patch), [fine, coarse] = BAND_PX.map((sigma) => gauss(picture, sigma, true)) as [Floats, Floats];
  const deep = distance(mask, 3), made = copyOf(patch);
  for (let at = 0; at < made.data.length; at++) {
    const strength = gain * Math.min(deep.data[Math.floor(at / 3)]! / BORDER_PX, 1);
    made.data[at] = level(picture.data[at]! + strength * (fine.data[at]! - coarse.data[at]!));
  }
  return made;
}

/** `completed` with seeded grain in the hole, as much as its surroundings have and it lacks. */
export function matchGrain(image: Bytes, completed: Bytes, mask: Mask, random: Random, detailPx: number): Bytes {
  const sigma = clamp(detailPx, 1, 8), grained = copyOf(image), largest = Math.max(mask.height, mask.width);
  for (const box of windows(mask, clamp(Math.floor(largest / 6), 24, 128))) {
    const missing = cut(mask, box), known = cut(image, box), picture = asFloats(known), drawn = cut(completed, box);
    for (let at = 0; at < picture.data.length; at++) if (missing.data[Math.floor(at / 3)]) picture.data[at] = drawn.data[at]!;
    const coarse = gauss(picture, sigma, true), fine = mapFloats(picture, (value, at) => value - coarse.data[at]!);
    const luma = grey(fine), brightness = grey(coarse);
    const [here, around, most] = calm(luma, coarse, brightness, missing, sigma), inner = boundingBox(missing), hole = cut(missing, inner);
    const part = cut(picture, inner);
    if (count(around) >= 400 && count(here) >= 100) {
      const measured = meanSquare(luma, around), wanted = Math.min(measured, most), inside = cut(luma, inner);
      const white = floats(hole.height, hole.width, 3);
      for (let at = 0; at < white.data.length; at++) white.data[at] = random.normal();
      const noise = lackingGrain(fine, luma, around, inside, cut(here, inner), sigma, white, wanted / Math.max(measured, 1e-9));
      const strength = byBrightness(luma, brightness, around, missing, cut(brightness, inner));
      const space = room(inside, hole, wanted, meanSquare(luma, here), sigma);
      for (let at = 0; at < part.data.length; at++) {
        const pixel = Math.floor(at / 3);
        part.data[at]! += noise.data[at]! * strength.data[pixel]! * space.data[pixel]!;
      }
    }
    const kept = cut(known, inner);
    copyMissing({ ...part, data: Uint8Array.from(part.data, level) }, hole, kept);
    paste(grained, kept, box[0] + inner[0], box[1] + inner[1]);
  }
  return grained;
}

/** The calm pixels of the hole and of what is known of its colour, and the most that their grain may be. */
function calm(luma: Floats, coarse: Floats, brightness: Floats, missing: Mask, sigma: number): [Mask, Mask, number] {
  const { height, width } = missing, known = { ...missing, data: missing.data.map((value) => 1 - value) };
  const squares = mapFloats(luma, (value) => value * value), ofHole = meanOf(squares, missing, sigma), ofKnown = meanOf(squares, known, sigma);
  const energy = mapFloats(luma, (_, at) => (missing.data[at] ? ofHole : ofKnown).data[at]!), step = Math.max(1, rint(sigma));
  const limit = 1.6 * quantile(chosen(energy, missing, 0, step), 0.03);
  const here = bytes(height, width), alike = bytes(height, width), around = bytes(height, width), shown = bytes(height, width);
  const colour = [0, 1, 2].map((channel) => quantile(chosen(coarse, missing, channel, step), 0.5));
  const far = mapFloats(luma, (_, at) => colour.reduce((sum, value, channel) => sum + Math.abs(coarse.data[3 * at + channel]! - value), 0));
  const near = quantile(chosen(far, known, 0, step), 0.25);
  for (let at = 0; at < here.data.length; at++) {
    here.data[at] = Number(missing.data[at]! && energy.data[at]! <= limit);
    alike.data[at] = Number(known.data[at]! && far.data[at]! <= near);
    shown.data[at] = Number(known.data[at]! && brightness.data[at]! > UNCLIPPED[0] && brightness.data[at]! < UNCLIPPED[1]);
  }
  const usual = 1.6 * quantile(chosen(energy, alike, 0, step), 0.03);
  for (let at = 0; at < here.data.length; at++) around.data[at] = Number(alike.data[at]! && energy.data[at]! <= usual);
  let most = SKIN_LEVELS ** 2;
  if (count(shown) >= 400) most = Math.max(SPREAD * quantile(chosen(energy, shown, 0, step), CALM), most);
  return [here, around, most];
}

/** White noise with the spectrum of `luma` around less that of `inside` here, in fine's colours. */
function lackingGrain(
  fine: Floats, luma: Floats, around: Mask, inside: Floats, here: Mask, sigma: number, white: Floats, share: number,
): Floats {
  const reach = Math.ceil(3 * sigma), wanted = covariance(luma, around, reach), present = covariance(inside, here, reach);
  const width = 2 * reach + 1, variance = wanted[reach * width + reach]!, side = 4 * reach + 2;
  if (variance < 0.05) return floats(white.height, white.width, 3);
  const spectrumWanted = spectrum(wanted.map((value) => value * share), reach, side), spectrumPresent = spectrum(present, reach, side);
  const power = new Float64Array(side * side);
  for (let at = 0; at < power.length; at++) {
    const [u, v] = [frequency(Math.floor(at / side), side), frequency(at % side, side)];
    const passed = (1 - Math.exp(-2 * (Math.PI * sigma) ** 2 * (u * u + v * v))) ** 2;
    power[at] = Math.sqrt(Math.max(spectrumWanted[at]! - spectrumPresent[at]!, 0) / Math.max(passed, 0.25));
  }
  const back = cosines(power, side), kernel = floats(width, width);
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      kernel.data[(y + reach) * width + x + reach] = back[((y + side) % side) * side + (x + side) % side]! / side ** 2;
    }
  }
  return coloured(filter(white, kernel), channelsOf(fine, around, variance));
}

const frequency = (index: number, side: number): number => (index < side / 2 ? index : index - side) / side;

/** The lower triangle of the Cholesky factor of how channels covary, row by row. */
function channelsOf(fine: Floats, around: Mask, variance: number): number[][] {
  const sums = [0, 0, 0].map(() => [0, 0, 0]), all = count(around) * variance;
  for (let at = 0; at < around.data.length; at++) {
    if (!around.data[at]) continue;
    for (let a = 0; a < 3; a++) for (let b = 0; b <= a; b++) sums[a]![b]! += fine.data[3 * at + a]! * fine.data[3 * at + b]!;
  }
  const factor = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  for (let a = 0; a < 3; a++) {
    for (let b = 0; b <= a; b++) {
      let rest = sums[a]![b]! / all + (a === b ? 1e-7 : 0);
      for (let k = 0; k < b; k++) rest -= factor[a]![k]! * factor[b]![k]!;
      factor[a]![b] = a === b ? Math.sqrt(rest) : rest / factor[b]![b]!;
    }
  }
  return factor;
}

function coloured(field: Floats, factor: readonly (readonly number[])[]): Floats {
  return mapFloats(field, (_, at) => {
    const row = factor[at % 3]!, first = at - at % 3;
    return row[0]! * field.data[first]! + row[1]! * field.data[first + 1]! + row[2]! * field.data[first + 2]!;
  });
}

/** How strong grain is at each `wanted` brightness against `around`, 0.25 to 1. */
function byBrightness(luma: Floats, brightness: Floats, around: Mask, missing: Mask, wanted: Floats): Floats {
  const strength = mapFloats(luma, Math.abs), usual = quantile(chosen(strength, around), 0.5), places: [number, number][] = [];
  for (let low = 0; low < 256; low += 32) {
    const alike = chosen(strength, { ...missing, data: missing.data.map((value, at) =>
      Number(!value && brightness.data[at]! >= low && brightness.data[at]! < low + 32)) });
    if (alike.length >= 400) places.push([low + 16, quantile(alike, 0.5)]);
  }
  if (!places.length || usual <= 0) return mapFloats(wanted, () => 1);
  return mapFloats(wanted, (value) => clamp(interpolate(places, value) / usual, 0.25, 1));
}

function interpolate(places: readonly [number, number][], at: number): number {
  const after = places.findIndex(([place]) => place >= at);
  if (after < 0) return places.at(-1)![1];
  if (after === 0) return places[0]![1];
  const [[x0, y0], [x1, y1]] = [places[after - 1]!, places[after]!];
  return y0 + (y1 - y0) * (at - x0) / (x1 - x0);
}

/** How much of the lacking grain each place of the hole has room for, 0 to 1. */
function room(luma: Floats, missing: Mask, wanted: number, present: number, sigma: number): Floats {
  const local = meanOf(mapFloats(luma, (value) => Math.min(value * value, 4 * wanted)), missing, sigma);
  return mapFloats(local, (value) => Math.sqrt(clamp((2 * wanted - value) / Math.max(2 * wanted - present, 1e-6), 0, 1)));
}

/** The mean of a part's pixels over squares as wide as a Gaussian of twice `sigma`. */
function meanOf(values: Floats, part: Mask, sigma: number): Floats {
  const side = 2 * rint(2 * sigma * Math.sqrt(3)) + 1;
  const sums = blur(mapFloats(values, (value, at) => part.data[at] ? value : 0), side, true), shares = blur(mapFloats(part, Number), side, true);
  return mapFloats(sums, (value, at) => value / Math.max(shares.data[at]!, 1e-3));
}

function meanSquare(values: Floats, mask: Mask): number {
  let sum = 0;
  for (let at = 0; at < mask.data.length; at++) if (mask.data[at]) sum += values.data[at]! ** 2;
  return sum / count(mask);
}

/** The mean product of two of the chosen pixels for each offset up to `reach`. */
function covariance(values: Floats, where: Mask, reach: number): Float64Array {
  const counts = correlate(mapFloats(where, Number), reach);
  const products = correlate(mapFloats(values, (value, at) => where.data[at] ? value : 0), reach);
  return Float64Array.from(products.data, (value, at) => value / Math.max(counts.data[at]!, 1));
}

/** Of a covariance under a Hann window, on a grid of that side. */
function spectrum(values: Float64Array, reach: number, side: number): Float64Array {
  const width = 2 * reach + 1, padded = new Float64Array(side * side);
  const taper = Array.from({ length: width }, (_, at) => 0.5 - 0.5 * Math.cos(2 * Math.PI * (at + 1) / (width + 1)));
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      padded[((y + side) % side) * side + (x + side) % side] =
        values[(y + reach) * width + x + reach]! * taper[y + reach]! * taper[x + reach]!;
    }
  }
  return cosines(padded, side);
}

/** The real part of the Fourier transform of a real square. */
function cosines(values: Float64Array, side: number): Float64Array {
  const waves = (of: (angle: number) => number): Float64Array => Float64Array.from({ length: side }, (_, at) => of(2 * Math.PI * at / side));
  const cos = waves(Math.cos), sin = waves(Math.sin), even = new Float64Array(side * side), odd = new Float64Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let v = 0; v < side; v++) {
      let a = 0, b = 0;
      for (let x = 0; x < side; x++) {
        const value = values[y * side + x]!, turn = v * x % side;
        a += value * cos[turn]!;
        b += value * sin[turn]!;
      }
      even[y * side + v] = a;
      odd[y * side + v] = b;
    }
  }
  const made = new Float64Array(side * side);
  for (let u = 0; u < side; u++) {
    for (let v = 0; v < side; v++) {
      let sum = 0;
      for (let y = 0; y < side; y++) {
        const turn = u * y % side;
        sum += cos[turn]! * even[y * side + v]! - sin[turn]! * odd[y * side + v]!;
      }
      made[u * side + v] = sum;
    }
  }
  return made;
}
