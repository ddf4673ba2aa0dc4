// Matrix products and sums of products by index.
import { broadcastShape, type Graph, type Value } from '../graph.js';
import type { Lowerings } from './lowering.js';

const swapLast = (g: Graph, x: Value) => {
  const rank = x.shape.length;
  return g.transpose(
    x,
    x.shape.map((_, i) => (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i)),
  );
};

/** [.., m, k] × [.., k, n] → [.., m, n] with leading axes broadcast. */
export function matMul(g: Graph, a: Value, b: Value, transposeA = false, transposeB = false): Value {
  const dims = (x: Value, transposed: boolean) =>
    transposed ? [x.shape.at(-1)!, x.shape.at(-2)!] : x.shape.slice(-2);
  const [m] = dims(a, transposeA);
  const [, n] = dims(b, transposeB);
  if (a.shape.length === 2 && b.shape.length === 2 && (transposeA || transposeB))
    return g.emit1('Gemm', [a, b], [m, n], { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 });
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return g.emit1(
    'MatMul',
    [transposeA ? swapLast(g, a) : a, transposeB ? swapLast(g, b) : b],
    [...batch, m, n],
  );
}

export const linear: Lowerings = {
  BatchMatMul: ({ g, inputs: { a, b }, attrs }) => matMul(g, a, b, attrs.transposeA, attrs.transposeB),
  Einsum: ({ g, list, attrs }) => {
    const equation = (attrs.equation as string).replaceAll(' ', '');
    const [operands, result] = equation.split('->');
    const sizes = new Map(
      operands.split(',').flatMap((indices, i) => [...indices].map((index, k) => [index, list[i].shape[k]])),
    );
    const shape = [...result].map((index) => sizes.get(index)!);
    return g.emit1('Einsum', list, shape, { equation });
  },
};
