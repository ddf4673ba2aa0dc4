// The graph of an ONNX file as a network reads it: nodes, and constants with their values.
import { f32, type NdArray } from '../engine/index.js';
import { inputError } from '../errors.js';
import { type ByteSource, openSource } from '../formats/source.js';
import { type OnnxNode, type OnnxTensor, readOnnxFile } from '../importers/onnx-file.js';
import { storedTensor } from '../importers/onnx-tensor.js';
import { networkFromOnnx, type OnnxNetwork } from '../network/index.js';

/** Of arrays that the file fills with one number, whose size it does not back by bytes. */
const LARGEST_FILLED = 2 ** 26;

/**
 * @throws DwpError INPUT for a damaged file; USAGE as {@link networkFromOnnx}
 */
export function readOnnxNetwork(path: string): OnnxNetwork {
  const source = openSource(path);
  try {
    const { graph } = readOnnxFile(source);
    if (!graph) throw inputError(`${path}: not an ONNX model (it holds no graph)`, 'check the file');
    const constants = new Map<string, NdArray>();
    for (const tensor of graph.initializers) constants.set(tensor.name, valuesOf(tensor, source));
    let filled = 0;
    const nodes = graph.nodes.filter((node) => {
      const value = constantOf(node, constants, source, (count) => {
        filled += count;
        if (filled > LARGEST_FILLED)
          throw inputError(`${path}: constants of ${filled} numbers in all`, 'export the model again');
      });
      if (value) constants.set(node.outputs[0], value);
      return !value;
    });
    return networkFromOnnx({ nodes, constants, outputs: graph.outputs }, path);
  } finally {
    source.close();
  }
}

function valuesOf(tensor: OnnxTensor, source: ByteSource): NdArray {
  const stored = storedTensor(tensor, source);
  if (typeof stored === 'string')
    throw inputError(`${source.path}: ${tensor.name}: ${stored}`, 'export the model again, in float32');
  return f32(stored.shape, stored.read());
}

/** Axes of size 1 put in, as ONNX counts them: in the result. */
function unsqueezed(shape: readonly number[], axes: readonly number[]): number[] {
  const rank = shape.length + axes.length;
  const places = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  const rest = [...shape];
  return Array.from({ length: rank }, (_, i) => (places.has(i) ? 1 : (rest.shift() ?? 1)));
}

/** The value of a node that has no other inputs than constants; undefined of all other nodes. */
function constantOf(
  { type, name, inputs, attributes }: OnnxNode,
  constants: ReadonlyMap<string, NdArray>,
  source: ByteSource,
  allocate: (count: number) => void,
): NdArray | undefined {
  const given = attributes.get('value');
  const [of, argument] = inputs.map((name) => constants.get(name));
  if (type === 'Identity' || type === 'Cast') return of;
  // the shape is what its numbers are of: one for each channel, or a matrix
  if (type === 'Unsqueeze' && of) {
    const axes = attributes.get('axes')?.ints ?? Array.from(argument?.data ?? []);
    return f32(unsqueezed(of.shape, axes), of.data as Float32Array);
  }
  if (type === 'Reshape' && of && argument) {
    const shape = Array.from(argument.data);
    const known = shape.reduce((a, b) => (b > 0 ? a * b : a), 1);
    const whole = shape.map((n) => (n === -1 ? of.data.length / known : n));
    return whole.reduce((a, b) => a * b, 1) === of.data.length
      ? f32(whole, of.data as Float32Array)
      : undefined;
  }
  if (type === 'ConstantOfShape') {
    const shape = constants.get(inputs[0]);
    if (!shape) return undefined;
    const sizes = Array.from(shape.data);
    if (sizes.some((n) => !Number.isSafeInteger(n) || n < 0))
      throw inputError(`${source.path}: node ${name}: impossible shape [${sizes}]`, 'export the model again');
    const count = sizes.reduce((a, b) => a * b, 1);
    allocate(count);
    const fill = given?.tensor ? valuesOf(given.tensor, source).data[0] : 0;
    return f32(sizes, new Float32Array(count).fill(fill));
  }
  if (type !== 'Constant') return undefined;
  const tensor = given?.tensor ?? attributes.get('value_floats')?.floats;
  if (tensor) return valuesOf(tensor, source);
  const whole = attributes.get('value_ints')?.ints;
  if (whole) return f32([whole.length], Float32Array.from(whole));
  const number = attributes.get('value_float')?.float ?? attributes.get('value_int')?.int;
  return number === undefined ? undefined : f32([], Float32Array.of(number));
}
