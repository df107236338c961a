/** Harmonic interpolation into holes, as `facefill.imaging.poisson`: conjugate gradients around a multigrid cycle. */

import { any, floats, mapFloats, type Floats, type Mask } from "./arrays";

const STEPS = [0, 1].map((k) => 1 / (1.25 + 0.75 * Math.cos(Math.PI * (2 * k + 1) / 4)));
const PULL = 0.9, MOST_CYCLES = 40;

interface Level { free: Floats; right: Floats; down: Floats; total: Floats; damped: Floats[] }

/** The plane with free pixels replaced by the solution of Laplace's equation, to about that tolerance. */
export function harmonic(values: readonly Floats[], free: Mask, tolerance: number): Floats[] {
  const cells = mapFloats(free, Number), known = values.map((plane) => mapFloats(plane, (value, at) => free.data[at] ? 0 : value));
  if (!any(free)) return known;
  let answer = Math.max(free.height, free.width) > 48 ? guess(known, cells, tolerance) : known.map(zeros);
  const levels = allLevels(cells);
  let residual = known.map((plane, index) => times(laplacian(add(plane, 1, answer[index]!)), cells));
  let direction = residual.map(zeros), previous = residual, norm = values.map(() => 1);
  for (let cycles = 0; cycles < MOST_CYCLES; cycles++) {
    const steps = residual.map((plane) => cycle(levels, 0, plane));
    direction = steps.map((step, index) =>
      add(step, (dot(residual[index]!, step) - dot(previous[index]!, step)) / norm[index]!, direction[index]!));
    const image = direction.map((plane) => times(laplacian(plane), cells));
    norm = steps.map((step, index) => awayFromZero(dot(residual[index]!, step)));
    const amount = direction.map((plane, index) => dot(residual[index]!, plane) / awayFromZero(-dot(plane, image[index]!)));
    answer = answer.map((plane, index) => add(plane, amount[index]!, direction[index]!));
    const largest = Math.max(...direction.map((plane, index) => Math.abs(amount[index]!) * plane.data.reduce(
      (most, value) => Math.max(most, Math.abs(value)), 0)));
    if (largest < 3 * tolerance) break;
    previous = residual;
    residual = residual.map((plane, index) => add(plane, amount[index]!, image[index]!));
  }
  return known.map((plane, index) => add(plane, 1, answer[index]!));
}

/** The solution on a grid of half the size, enlarged, in the free pixels and 0 elsewhere. */
function guess(known: readonly Floats[], free: Floats, tolerance: number): Floats[] {
  const beside = neighbourSum(free), border = mapFloats(free, (value, at) => (1 - value) * Number(beside.data[at]! > 0));
  const counts = quads(border), ones = quads(mapFloats(free, () => 1)), inside = quads(free);
  const missing: Mask = { ...inside, data: Uint8Array.from(inside.data, (value, at) => Number(value === ones.data[at])) };
  const coarse = known.map((plane) => mapFloats(quads(times(plane, border)), (value, at) => value / Math.max(counts.data[at]!, 1)));
  return harmonic(coarse, missing, tolerance).map((plane) => enlarged(plane, free));
}

function allLevels(free: Floats): Level[] {
  const { height, width } = free, outer = neighbourSum(mapFloats(free, (value) => 1 - value));
  let cells = free, right = shifted(free, height, width - 1, 0, 1), down = shifted(free, height - 1, width, 1, 0);
  let pull = times(free, outer);
  const levels = [levelOf(cells, right, down, pull)];
  while (Math.max(cells.height, cells.width) > 2) {
    const high = Math.ceil(cells.height / 2), wide = Math.ceil(cells.width / 2);
    right = halved(right, high, wide - 1, 1, 0);
    down = halved(down, high - 1, wide, 0, 1);
    pull = mapFloats(quads(pull), (value) => PULL * value);
    cells = mapFloats(quads(cells), (value) => Number(value > 0));
    levels.push(levelOf(cells, right, down, pull));
  }
  return levels;
}

/** Products of each pixel and the one so many rows and columns further. */
function shifted(grid: Floats, height: number, width: number, rows: number, columns: number): Floats {
  const made = floats(height, width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      made.data[y * width + x] = grid.data[y * grid.width + x]! * grid.data[(y + rows) * grid.width + x + columns]!;
    }
  }
  return made;
}

/** Edges between coarse cells: half the sum of two fine ones each, every second one of them. */
function halved(edges: Floats, height: number, width: number, alongX: number, alongY: number): Floats {
  const made = floats(height, width), at = (y: number, x: number): number =>
    y < edges.height && x < edges.width ? edges.data[y * edges.width + x]! : 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      made.data[y * width + x] = 0.5 * (at(2 * y + alongY, 2 * x + alongX) + at(2 * y + 1, 2 * x + 1));
    }
  }
  return made;
}

function levelOf(free: Floats, right: Floats, down: Floats, pull: Floats): Level {
  const { height, width } = free, total = { ...pull, data: pull.data.slice() };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x < width - 1) {
        total.data[at]! += right.data[y * (width - 1) + x]!;
        total.data[at + 1]! += right.data[y * (width - 1) + x]!;
      }
      if (y < height - 1) {
        total.data[at]! += down.data[at]!;
        total.data[at + width]! += down.data[at]!;
      }
    }
  }
  const inverse = mapFloats(free, (value, at) => total.data[at]! > 0 ? value / Math.max(total.data[at]!, 1e-6) : 0);
  return { free, right, down, total, damped: STEPS.map((step) => mapFloats(inverse, (value) => value * step)) };
}

/** About the error that belongs to a residual. */
function cycle(levels: readonly Level[], index: number, residual: Floats): Floats {
  const level = levels[index]!, [one, two] = level.damped as [Floats, Floats];
  let error = times(residual, one);
  const smooth = (damped: Floats): void => { error = add(error, 1, times(remaining(level, index, error, residual), damped)); };
  smooth(two);
  if (index === levels.length - 1) {
    for (let round = 0; round < 3; round++) [one, two].forEach(smooth);
    return error;
  }
  const rest = times(remaining(level, index, error, residual), level.free);
  error = add(error, 1, enlarged(cycle(levels, index + 1, quads(rest)), level.free));
  [two, one].forEach(smooth);
  return error;
}

/** residual - A error. */
function remaining(level: Level, index: number, error: Floats, residual: Floats): Floats {
  if (index === 0) return add(laplacian(error), 1, residual);
  const { height, width } = error, { right, down, total } = level;
  const rest = mapFloats(residual, (value, at) => value - total.data[at]! * error.data[at]!);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x < width - 1) {
        const weight = right.data[y * (width - 1) + x]!;
        rest.data[at]! += weight * error.data[at + 1]!;
        rest.data[at + 1]! += weight * error.data[at]!;
      }
      if (y < height - 1) {
        rest.data[at]! += down.data[at]! * error.data[at + width]!;
        rest.data[at + width]! += down.data[at]! * error.data[at]!;
      }
    }
  }
  return rest;
}

const zeros = (plane: Floats): Floats => floats(plane.height, plane.width);
const times = (one: Floats, other: Floats): Floats => mapFloats(one, (value, at) => value * other.data[at]!);
const add = (one: Floats, factor: number, other: Floats): Floats => mapFloats(one, (value, at) => value + factor * other.data[at]!);
const awayFromZero = (value: number): number => Math.abs(value) < 1e-12 ? 1e-12 : value;

function dot(one: Floats, other: Floats): number {
  let sum = 0;
  for (let at = 0; at < one.data.length; at++) sum += one.data[at]! * other.data[at]!;
  return sum;
}

/** Sum of (neighbour - pixel) over the neighbours inside. */
function laplacian(plane: Floats): Floats {
  const { height, width, data } = plane;
  return mapFloats(plane, (value, at) => {
    const x = at % width, left = x ? data[at - 1]! : value, right = x < width - 1 ? data[at + 1]! : value;
    const up = at >= width ? data[at - width]! : value, low = at < (height - 1) * width ? data[at + width]! : value;
    return left + right + up + low - 4 * value;
  });
}

function neighbourSum(plane: Floats): Floats {
  const { height, width, data } = plane;
  return mapFloats(plane, (_, at) => {
    const x = at % width;
    return (x ? data[at - 1]! : 0) + (x < width - 1 ? data[at + 1]! : 0) + (at >= width ? data[at - width]! : 0)
      + (at < (height - 1) * width ? data[at + width]! : 0);
  });
}

/** Sums of two by two; a last odd row or column stays alone. */
function quads(plane: Floats): Floats {
  const height = Math.ceil(plane.height / 2), width = Math.ceil(plane.width / 2), made = floats(height, width);
  for (let y = 0; y < plane.height; y++) {
    for (let x = 0; x < plane.width; x++) made.data[(y >> 1) * width + (x >> 1)]! += plane.data[y * plane.width + x]!;
  }
  return made;
}

/** Interpolated to twice the size, cut to the grid of `free`, 0 where that is. */
function enlarged(plane: Floats, free: Floats): Floats {
  const { width, height, data } = plane;
  return mapFloats(free, (open, at) => {
    if (!open) return 0;
    const x = at % free.width, y = Math.floor(at / free.width);
    const [x0, x1] = [x >> 1, Math.min(Math.max((x >> 1) + (x % 2 ? 1 : -1), 0), width - 1)];
    const [y0, y1] = [y >> 1, Math.min(Math.max((y >> 1) + (y % 2 ? 1 : -1), 0), height - 1)];
    return open * (0.75 * (0.75 * data[y0 * width + x0]! + 0.25 * data[y0 * width + x1]!)
      + 0.25 * (0.75 * data[y1 * width + x0]! + 0.25 * data[y1 * width + x1]!));
  });
}
