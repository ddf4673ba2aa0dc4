// What an ONNX file says, as far as convolutions' weights need it (onnx.proto): graphs, nodes, tensors, functions.
// Values of tensors stay in the file.
import { type Field, ProtobufReader } from '../formats/protobuf.js';
import type { ByteSource } from '../formats/source.js';

export interface OnnxTensor {
  kind: 'tensor';
  name: string;
  dims: number[];
  /** TensorProto.DataType. */
  type: number;
  /** Where raw_data lies. */
  raw?: { start: number; end: number };
  /** float_data, int32_data, int64_data, double_data: packed ranges of the file, or numbers one by one. */
  typed: { field: number; start: number; end: number; packed: boolean }[];
  /** Present when the values are in another file: location, offset, length. */
  external?: Map<string, string>;
  segmented: boolean;
}

export interface OnnxAttribute {
  name: string;
  float: number;
  int: number;
  floats: number[];
  ints: number[];
  text: string;
  tensor?: OnnxTensor;
  graphs: OnnxGraph[];
  sparse: boolean;
  /** In the body of a function: the function's attribute that this one stands for. */
  reference: string;
}

export interface OnnxNode {
  kind: 'node';
  name: string;
  type: string;
  domain: string;
  overload: string;
  inputs: string[];
  outputs: string[];
  attributes: Map<string, OnnxAttribute>;
}

export interface OnnxGraph {
  name: string;
  nodes: OnnxNode[];
  initializers: OnnxTensor[];
  /** Names of sparse initializers, whose values are not read. */
  sparse: string[];
  outputs: string[];
}

export interface OnnxFunction {
  name: string;
  domain: string;
  overload: string;
  inputs: string[];
  outputs: string[];
  nodes: OnnxNode[];
  /** Attributes that a call may leave out. */
  defaults: Map<string, OnnxAttribute>;
}

export interface OnnxFile {
  graph?: OnnxGraph;
  functions: OnnxFunction[];
  producer: string;
  licence?: string;
}

/** Graphs inside graphs. */
const DEEPEST = 16;
/** Nodes, tensors, attributes and names of a file together. */
const MOST_OBJECTS = 4_000_000;

/** @throws DwpError INPUT when the source is not a complete ONNX model */
export function readOnnxFile(source: ByteSource): OnnxFile {
  return new OnnxReader(new ProtobufReader(source, 'a complete ONNX model')).model();
}

class OnnxReader {
  private objects = 0;

  constructor(private readonly reader: ProtobufReader) {}

  model(): OnnxFile {
    const { reader } = this;
    const file: OnnxFile = { functions: [], producer: '' };
    let version = '';
    for (const field of reader.message(0, reader.source.size)) {
      if (field.number === 2) file.producer = reader.text(field);
      else if (field.number === 3) version = reader.text(field);
      else if (field.number === 7) file.graph = this.graph(field, 0, file.graph);
      else if (field.number === 14) {
        const [key, value] = this.entry(field);
        if (/licen[cs]e/i.test(key)) file.licence = value;
      } else if (field.number === 25) file.functions.push(this.function(field));
    }
    file.producer = [file.producer, version].filter(Boolean).join(' ');
    return file;
  }

  private *fields(message: Field): Generator<Field, void, undefined> {
    if (message.wire !== 2)
      throw this.reader.damaged(`a number at byte ${message.start} where a part should be`);
    if (++this.objects > MOST_OBJECTS) throw this.reader.damaged(`more than ${MOST_OBJECTS} parts`);
    yield* this.reader.message(message.start, message.end);
  }

  private name(field: Field): string {
    if (++this.objects > MOST_OBJECTS) throw this.reader.damaged(`more than ${MOST_OBJECTS} parts`);
    return this.reader.text(field);
  }

  /** @param into a message that is given twice is merged, as the format demands */
  private graph(message: Field, depth: number, into?: OnnxGraph): OnnxGraph {
    if (depth > DEEPEST) throw this.reader.damaged(`graphs are nested deeper than ${DEEPEST}`);
    const graph = into ?? { name: '', nodes: [], initializers: [], sparse: [], outputs: [] };
    for (const field of this.fields(message)) {
      if (field.number === 1) graph.nodes.push(this.node(field, depth));
      else if (field.number === 2) graph.name = this.name(field);
      else if (field.number === 5) graph.initializers.push(this.tensor(field));
      else if (field.number === 12) {
        for (const part of this.fields(field)) if (part.number === 1) graph.outputs.push(this.name(part));
      } else if (field.number === 15)
        for (const part of this.fields(field))
          if (part.number === 1) graph.sparse.push(this.tensor(part).name);
    }
    return graph;
  }

  private function(message: Field): OnnxFunction {
    const result: OnnxFunction = {
      name: '',
      domain: '',
      overload: '',
      inputs: [],
      outputs: [],
      nodes: [],
      defaults: new Map(),
    };
    for (const field of this.fields(message)) {
      if (field.number === 1) result.name = this.name(field);
      else if (field.number === 4) result.inputs.push(this.name(field));
      else if (field.number === 5) result.outputs.push(this.name(field));
      else if (field.number === 7) result.nodes.push(this.node(field, 0));
      else if (field.number === 10) result.domain = this.name(field);
      else if (field.number === 11) {
        const attribute = this.attribute(field, 0);
        result.defaults.set(attribute.name, attribute);
      } else if (field.number === 13) result.overload = this.name(field);
    }
    return result;
  }

  private node(message: Field, depth: number): OnnxNode {
    const node: OnnxNode = {
      kind: 'node',
      name: '',
      type: '',
      domain: '',
      overload: '',
      inputs: [],
      outputs: [],
      attributes: new Map(),
    };
    for (const field of this.fields(message)) {
      if (field.number === 1) node.inputs.push(this.name(field));
      else if (field.number === 2) node.outputs.push(this.name(field));
      else if (field.number === 3) node.name = this.name(field);
      else if (field.number === 4) node.type = this.name(field);
      else if (field.number === 5) {
        const attribute = this.attribute(field, depth);
        node.attributes.set(attribute.name, attribute);
      } else if (field.number === 7) node.domain = this.name(field);
      else if (field.number === 8) node.overload = this.name(field);
    }
    return node;
  }

  private attribute(message: Field, depth: number): OnnxAttribute {
    const { reader } = this;
    const attribute: OnnxAttribute = {
      name: '',
      float: 0,
      int: 0,
      floats: [],
      ints: [],
      text: '',
      graphs: [],
      sparse: false,
      reference: '',
    };
    for (const field of this.fields(message)) {
      if (field.number === 1) attribute.name = this.name(field);
      else if (field.number === 2) attribute.float = reader.float(field);
      else if (field.number === 3) attribute.int = field.value;
      else if (field.number === 4 && field.end - field.start <= 256) attribute.text = reader.text(field);
      else if (field.number === 5) attribute.tensor = this.tensor(field);
      else if (field.number === 6 || field.number === 11) attribute.graphs.push(this.graph(field, depth + 1));
      else if (field.number === 7) this.few(field, attribute.floats, () => this.floats(field));
      else if (field.number === 8) this.few(field, attribute.ints, () => reader.integers(field));
      else if (field.number === 21) attribute.reference = this.name(field);
      else if (field.number === 22) attribute.sparse = true;
    }
    return attribute;
  }

  /** Lists of a node's attributes are short where they matter here; long ones are left where they are. */
  private few({ start, end }: Field, list: number[], read: () => number[]): void {
    if (end - start <= 2 ** 16 && list.length < 2 ** 16) list.push(...read());
  }

  private floats({ wire, start, end }: Field): number[] {
    if ((wire !== 2 && wire !== 5) || (end - start) % 4 !== 0)
      throw this.reader.damaged(`${end - start} bytes at ${start} where floats should be`);
    return [...new Float32Array(this.reader.source.read(start, end - start).buffer)];
  }

  private tensor(message: Field): OnnxTensor {
    const { reader } = this;
    const tensor: OnnxTensor = { kind: 'tensor', name: '', dims: [], type: 0, typed: [], segmented: false };
    const external = new Map<string, string>();
    let outside = false;
    for (const field of this.fields(message)) {
      const { number, wire, start, end } = field;
      if (number === 1) {
        if (end - start > 1000 || tensor.dims.length > 100)
          throw reader.damaged('a tensor of over 100 dimensions');
        tensor.dims.push(...reader.integers(field));
      } else if (number === 2) tensor.type = field.value;
      else if (number === 3) tensor.segmented = true;
      else if (number === 4 || number === 5 || number === 7 || number === 10) {
        if (++this.objects > MOST_OBJECTS) throw reader.damaged(`more than ${MOST_OBJECTS} parts`);
        tensor.typed.push({ field: number, start, end, packed: wire === 2 });
      } else if (number === 8) tensor.name = this.name(field);
      else if (number === 9) {
        if (wire !== 2) throw reader.damaged(`a number at byte ${start} where raw data should be`);
        tensor.raw = { start, end };
      } else if (number === 13) {
        const [key, value] = this.entry(field);
        external.set(key, value);
      } else if (number === 14) outside = field.value === 1;
    }
    if (outside || external.size > 0) tensor.external = external;
    return tensor;
  }

  /** StringStringEntryProto. */
  private entry(message: Field): [key: string, value: string] {
    let [key, value] = ['', ''];
    for (const field of this.fields(message)) {
      if (field.end - field.start > 2 ** 16) continue; // a long description
      if (field.number === 1) key = this.name(field);
      else if (field.number === 2) value = this.name(field);
    }
    return [key, value];
  }
}
