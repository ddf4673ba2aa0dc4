// Trees of arrays: the shape of everything that goes into and comes out of a step.

export type Dtype = 'float32' | 'int32' | 'bool';

/** A plain n-dimensional array, row-major. Booleans are bytes of 0 and 1. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** What a step must know of an input before it runs. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

export type Tree<Leaf> = Leaf | { readonly [name: string]: Tree<Leaf> };

/** The same tree with other leaves. */
export type MapLeaves<T, From, To> = T extends From ? To : { [K in keyof T]: MapLeaves<T[K], From, To> };

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const f32 = (shape: readonly number[], data?: Float32Array): NdArray & { data: Float32Array } => ({
  shape,
  data: data ?? new Float32Array(sizeOf(shape)),
});

export const spec = (shape: readonly number[], dtype: Dtype = 'float32'): TensorSpec => ({ shape, dtype });

export function dtypeOf(leaf: NdArray | TensorSpec): Dtype {
  if ('dtype' in leaf) return leaf.dtype;
  return leaf.data instanceof Float32Array ? 'float32' : leaf.data instanceof Int32Array ? 'int32' : 'bool';
}

const isLeaf = (node: unknown): boolean =>
  typeof node === 'object' &&
  node !== null &&
  'shape' in node &&
  Array.isArray((node as { shape: unknown }).shape);

/** Leaves with their paths (`layers.conv1.mean`), in the order of the keys. */
export function leaves<Leaf>(tree: unknown, path = ''): [path: string, leaf: Leaf][] {
  if (isLeaf(tree)) return [[path, tree as Leaf]];
  return Object.entries(tree as object).flatMap(([name, child]) =>
    leaves<Leaf>(child, path ? `${path}.${name}` : name),
  );
}

/** The tree with each leaf replaced; `f` is given the leaf and its path. */
export function mapTree<T, From, To>(
  tree: T,
  f: (leaf: From, path: string) => To,
  path = '',
): MapLeaves<T, From, To> {
  if (isLeaf(tree)) return f(tree as unknown as From, path) as MapLeaves<T, From, To>;
  return Object.fromEntries(
    Object.entries(tree as object).map(([name, child]) => [
      name,
      mapTree(child, f, path ? `${path}.${name}` : name),
    ]),
  ) as MapLeaves<T, From, To>;
}
