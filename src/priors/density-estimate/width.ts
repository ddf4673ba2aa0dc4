// The width of the noise under which kernels that were left out are likeliest.
import { LOG_2PI } from '../../distributions/normal.js';
import { type LOCAL, type Noise, type Rows, squaredDistance, widthsOf } from './noise.js';

/** Most points that are left out to choose a width. */
const LEFT_OUT = 400;
const [NARROWEST, WIDEST] = [Math.log(1e-3), Math.log(30)];
const ROUNDS = 16;

/** Points are in random order: the last tenth is left out. */
export function chooseWidth({ coordinates, logVolume }: Noise, local: (typeof LOCAL)[number]) {
  const { data, count, size: d } = coordinates;
  const held = Math.min(LEFT_OUT, Math.max(1, Math.round(0.1 * count)));
  const part = (from: number, to: number): Rows => ({
    ...{ data: data.subarray(from * d, to * d), count: to - from, size: d },
  });
  const [kept, left] = [part(0, count - held), part(count - held, count)];
  const widths = widthsOf(kept, local);
  const squares = new Float64Array(left.count * kept.count); // in widths of the kept kernel
  for (let i = 0; i < left.count; i++)
    for (let k = 0; k < kept.count; k++)
      squares[i * kept.count + k] = squaredDistance(left, i, kept, k) / widths[k] ** 2;
  const constants = widths.map((s) => -d * Math.log(s));
  const value = (logWidth: number) => meanLog(squares, constants, logWidth, d) + logVolume;
  const logWidth = highest(value, NARROWEST, WIDEST);
  return { width: Math.exp(logWidth), value: value(logWidth) };
}

/** (142) of points left out, mean over them; K squared distances of each, in widths. */
function meanLog(squares: Float64Array, constants: Float64Array, logWidth: number, d: number): number {
  const k = constants.length;
  const precision = 0.5 * Math.exp(-2 * logWidth);
  let total = 0;
  for (let at = 0; at < squares.length; at += k) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < k; c++) largest = Math.max(largest, constants[c] - precision * squares[at + c]);
    let sum = 0;
    for (let c = 0; c < k; c++) sum += Math.exp(constants[c] - precision * squares[at + c] - largest);
    total += largest + Math.log(sum);
  }
  return total / (squares.length / k) - Math.log(k) - d * logWidth - 0.5 * d * LOG_2PI;
}

/** Where a function of one hump is highest, by golden sections. */
function highest(value: (x: number) => number, from: number, to: number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [from, to];
  let [left, right] = [b - ratio * (b - a), a + ratio * (b - a)];
  let [atLeft, atRight] = [value(left), value(right)];
  for (let round = 0; round < ROUNDS; round++)
    if (atLeft > atRight) {
      [b, right, atRight] = [right, left, atLeft];
      left = b - ratio * (b - a);
      atLeft = value(left);
    } else {
      [a, left, atLeft] = [left, right, atRight];
      right = a + ratio * (b - a);
      atRight = value(right);
    }
  return (a + b) / 2;
}
