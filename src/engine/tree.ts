// Trees of arrays: the shape of everything that goes into and comes out of a step.
import { sizeOf } from '../formats/shape.js';

export type Dtype = 'float32' | 'int32' | 'bool';

/** Lengths of the axes; a tuple where their number is known. */
export type Shape = readonly number[];

/** A plain n-dimensional array, row-major. Booleans are bytes of 0 and 1. */
export interface NdArray<S extends Shape = Shape> {
  readonly shape: S;
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** What a step must know of an input before it runs. */
export interface TensorSpec<S extends Shape = Shape> {
  readonly shape: S;
  readonly dtype: Dtype;
}

/** The same tree, of records and lists, with other leaves. */
export type MapLeaves<T, From, To> = T extends From ? To : { [K in keyof T]: MapLeaves<T[K], From, To> };

export { sizeOf };

export const f32 = <S extends Shape | []>(
  shape: S,
  data?: Float32Array,
): NdArray<S> & { data: Float32Array } => ({
  shape,
  data: data ?? new Float32Array(sizeOf(shape)),
});

export const spec = <S extends Shape | []>(shape: S, dtype: Dtype = 'float32'): TensorSpec<S> => ({
  shape,
  dtype,
});

export function dtypeOf(leaf: NdArray | TensorSpec): Dtype {
  if ('dtype' in leaf) return leaf.dtype;
  return leaf.data instanceof Float32Array ? 'float32' : leaf.data instanceof Int32Array ? 'int32' : 'bool';
}

const isLeaf = (node: unknown): boolean =>
  typeof node === 'object' &&
  node !== null &&
  'shape' in node &&
  Array.isArray((node as { shape: unknown }).shape);

/** Leaves with their paths (`layers.conv1.mean`, `steps.0.rate`), in the order of the keys. */
export function leaves<Leaf>(tree: unknown, path = ''): [path: string, leaf: Leaf][] {
  if (isLeaf(tree)) return [[path, tree as Leaf]];
  return Object.entries(tree as object).flatMap(([name, child]) =>
    leaves<Leaf>(child, path ? `${path}.${name}` : name),
  );
}

/**
 * The tree with each leaf replaced; `f` is given the leaf and its path.
 * @typeParam R the type of the new tree, where it is another than {@link MapLeaves} says
 */
export function mapTree<T, From, To, R = MapLeaves<T, From, To>>(
  tree: T,
  f: (leaf: From, path: string) => To,
): R {
  const map = (node: unknown, path: string): unknown => {
    if (isLeaf(node)) return f(node as From, path);
    const children = Object.entries(node as object).map(
      ([name, child]) => [name, map(child, path ? `${path}.${name}` : name)] as const,
    );
    return Array.isArray(node) ? children.map(([, child]) => child) : Object.fromEntries(children);
  };
  return map(tree, '') as R;
}
