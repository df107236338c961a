/** NumPy's `default_rng(seed).standard_normal(dtype=float32)`: SeedSequence, PCG64 (O'Neill 2014) and the ziggurat
 * (Marsaglia & Tsang 2000), so that grain is the same in the browser as in the Python package. */

const LAYERS = 256, TAIL = 3.6541528853610088, AREA = 0.00492867323399;

/** The ziggurat's layers: where `x` is taken at once, its factor, and the density. */
const TABLES = ((): { most: Float64Array; factor: Float32Array; density: Float32Array } => {
  const most = new Float64Array(LAYERS), factor = new Float32Array(LAYERS), density = new Float32Array(LAYERS), bits = 2 ** 23;
  const of = (x: number): number => Math.exp(-0.5 * x * x);
  let x = TAIL, last = TAIL;
  const base = AREA / of(TAIL);
  most[0] = Math.floor(TAIL / base * bits);
  most[1] = 0;
  factor[0] = base / bits;
  factor[LAYERS - 1] = TAIL / bits;
  density[0] = 1;
  density[LAYERS - 1] = of(TAIL);
  for (let index = LAYERS - 2; index >= 1; index--) {
    x = Math.sqrt(-2 * Math.log(AREA / last + of(last)));
    most[index + 1] = Math.floor(x / last * bits);
    factor[index] = x / bits;
    density[index] = of(x);
    last = x;
  }
  return { most, factor, density };
})();

/** 128 bits as eight parts of 16, the lowest first. */
const parts = (value: bigint): Float64Array => Float64Array.from({ length: 8 }, (_, at) => Number(value >> BigInt(16 * at) & 0xffffn));
const MULTIPLIER = parts(0x2360ed051fc65da44385df649fccf645n);

export class Random {
  private readonly state: Float64Array;
  private readonly increment: Float64Array;
  private readonly next = new Float64Array(8);
  private kept: number | null = null;

  /** seed: a whole number of 0 to 2^32 - 1. */
  constructor(seed: number) {
    const words = seedWords(seed), wide = (at: number): bigint =>
      BigInt(words[at]!) << 64n | BigInt(words[at + 1]!) << 96n | BigInt(words[at + 2]!) | BigInt(words[at + 3]!) << 32n;
    this.state = new Float64Array(8);
    this.increment = parts((wide(4) << 1n | 1n) & (1n << 128n) - 1n);
    this.step();
    const start = parts(wide(0));
    let carry = 0;
    for (let at = 0; at < 8; at++) {
      const sum = this.state[at]! + start[at]! + carry;
      this.state[at] = sum % 65536;
      carry = Math.floor(sum / 65536);
    }
    this.step();
  }

  /** Of a normal distribution with mean 0 and variance 1. */
  normal(): number {
    for (;;) {
      const drawn = this.bits(), layer = drawn & 255, place = drawn >>> 9;
      const plain = Math.fround(place * TABLES.factor[layer]!), x = drawn & 256 ? -plain : plain;
      if (place < TABLES.most[layer]!) return x;
      if (layer) {
        const [high, low] = [TABLES.density[layer - 1]!, TABLES.density[layer]!];
        if (Math.fround((high - low) * this.uniform() + low) < Math.exp(-0.5 * x * x)) return x;
        continue;
      }
      for (;;) {
        const far = -Math.log1p(-this.uniform()) / TAIL, high = -Math.log1p(-this.uniform());
        if (high + high > far * far) return place >>> 8 & 1 ? -(TAIL + far) : TAIL + far;
      }
    }
  }

  private uniform(): number { return (this.bits() >>> 8) / 16777216; }

  /** 32 bits: of each 64 the lower ones first. */
  private bits(): number {
    if (this.kept !== null) {
      const kept = this.kept;
      this.kept = null;
      return kept;
    }
    this.step();
    const part = (at: number): number => this.state[at]!;
    const low = ((part(1) ^ part(5)) << 16 | (part(0) ^ part(4))) >>> 0, high = ((part(3) ^ part(7)) << 16 | (part(2) ^ part(6))) >>> 0;
    const turn = part(7) >>> 10, [a, b] = turn < 32 ? [low, high] : [high, low], by = turn % 32;
    this.kept = by ? (b >>> by | a << 32 - by) >>> 0 : b;
    return by ? (a >>> by | b << 32 - by) >>> 0 : a;
  }

  private step(): void {
    const { state, next, increment } = this;
    let carry = 0;
    for (let at = 0; at < 8; at++) {
      let sum = carry + increment[at]!;
      for (let one = 0; one <= at; one++) sum += state[one]! * MULTIPLIER[at - one]!; // below 2^36
      next[at] = sum % 65536;
      carry = Math.floor(sum / 65536);
    }
    state.set(next);
  }
}

/** SeedSequence(seed).generate_state(8): eight words of 32 bits. */
function seedWords(seed: number): Uint32Array {
  let constant = 0x43b0d7e5;
  const hash = (value: number): number => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ value >>> 16) >>> 0;
  };
  const pool = [seed, 0, 0, 0].map(hash);
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) {
      if (from === to) continue;
      const mixed = (Math.imul(0xca01f9dd, pool[to]!) - Math.imul(0x4973f715, hash(pool[from]!))) >>> 0;
      pool[to] = (mixed ^ mixed >>> 16) >>> 0;
    }
  }
  let other = 0x8b51f9dd;
  return Uint32Array.from({ length: 8 }, (_, at) => {
    let value = (pool[at % 4]! ^ other) >>> 0;
    other = Math.imul(other, 0x58f38ded) >>> 0;
    value = Math.imul(value, other) >>> 0;
    return (value ^ value >>> 16) >>> 0;
  });
}
