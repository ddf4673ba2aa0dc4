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
  /** Where float_data, int32_data, int64_data and double_data lie: each in one piece, or number by number. */
  typed: { field: number; start: number; end: number }[];
  /** Present when the values are in another file: location, offset, length. */
  external?: Map<string, string>;
  segmented: boolean;
}

export interface OnnxAttribute {
  name: string;
  /** Where the whole attribute lies. */
  place: { start: number; end: number };
  float: number;
  int: number;
  /** A list of floats, left in the file. */
  floats?: OnnxTensor;
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
  attributes: ReadonlyMap<string, OnnxAttribute>;
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
  /** Version of the standard operators in its body; 0 where it is not said. */
  opset: number;
}

export interface OnnxFile {
  graph?: OnnxGraph;
  functions: OnnxFunction[];
  /** Version of the standard operators; 0 where it is not said. */
  opset: number;
  producer: string;
  licence?: string;
}

/** TensorProto's: data type FLOAT, field float_data, data location EXTERNAL. */
const [FLOAT, FLOAT_DATA, EXTERNAL] = [1, 4, 1];
const HIGHEST_RANK = 32;
/** Graphs inside graphs. */
const DEEPEST = 16;
/**
 * Of a whole file: a name counts 1, a node, tensor, attribute or list 3, a graph 30, about as they take memory; and
 * what nodes hold counts once more for every graph around them, which looks at it, too.
 */
const MOST_PARTS = 3_000_000;
const [NAME, MESSAGE, GRAPH] = [1, 3, 30];
/** A node without attributes. */
const NO_ATTRIBUTES: ReadonlyMap<string, OnnxAttribute> = new Map();

/** @throws DwpError INPUT when the source is not a complete ONNX model */
export function readOnnxFile(source: ByteSource): OnnxFile {
  return new OnnxReader(new ProtobufReader(source, 'a complete ONNX model')).model();
}

class OnnxReader {
  private parts = 0;
  /** Of the node that is read. */
  private depth = 0;

  constructor(private readonly reader: ProtobufReader) {}

  model(): OnnxFile {
    const { reader } = this;
    const file: OnnxFile = { functions: [], opset: 0, producer: '' };
    let version = '';
    for (const field of reader.message(0, reader.source.size)) {
      if (field.number === 2) file.producer = reader.text(field);
      else if (field.number === 3) version = reader.text(field);
      else if (field.number === 7) file.graph = this.graph(field, 0, file.graph);
      else if (field.number === 8) file.opset = this.opset(field) ?? file.opset;
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
    this.count(MESSAGE);
    yield* this.reader.message(message.start, message.end);
  }

  private name(field: Field): string {
    this.count(NAME);
    return this.reader.text(field);
  }

  private count(parts: number): void {
    this.parts += parts * (1 + this.depth);
    if (this.parts > MOST_PARTS) throw this.reader.damaged('more parts than a model has');
  }

  /** @param into a message that is given twice is merged, as the format demands */
  private graph(message: Field, depth: number, into?: OnnxGraph): OnnxGraph {
    if (depth > DEEPEST) throw this.reader.damaged(`graphs are nested deeper than ${DEEPEST}`);
    this.depth = depth;
    this.count(GRAPH);
    const graph = into ?? { name: '', nodes: [], initializers: [], sparse: [], outputs: [] };
    for (const field of this.fields(message)) {
      this.depth = depth; // after a graph of a node
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
      opset: 0,
    };
    this.depth = 0;
    for (const field of this.fields(message)) {
      this.depth = 0;
      if (field.number === 1) result.name = this.name(field);
      else if (field.number === 4) result.inputs.push(this.name(field));
      else if (field.number === 5) result.outputs.push(this.name(field));
      else if (field.number === 7) result.nodes.push(this.node(field, 0));
      else if (field.number === 9) result.opset = this.opset(field) ?? result.opset;
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
      attributes: NO_ATTRIBUTES,
    };
    const attributes = new Map<string, OnnxAttribute>();
    for (const field of this.fields(message)) {
      if (field.number === 1) node.inputs.push(this.name(field));
      else if (field.number === 2) node.outputs.push(this.name(field));
      else if (field.number === 3) node.name = this.name(field);
      else if (field.number === 4) node.type = this.name(field);
      else if (field.number === 5) {
        const attribute = this.attribute(field, depth);
        attributes.set(attribute.name, attribute);
        node.attributes = attributes;
      } else if (field.number === 7) node.domain = this.name(field);
      else if (field.number === 8) node.overload = this.name(field);
    }
    return node;
  }

  private attribute(message: Field, depth: number): OnnxAttribute {
    const { reader } = this;
    const attribute: OnnxAttribute = {
      name: '',
      place: { start: message.start, end: message.end },
      float: 0,
      int: 0,
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
      else if (field.number === 7) attribute.floats = this.floats(field, attribute.floats);
      else if (field.number === 8) this.integers(field, attribute.ints);
      else if (field.number === 21) attribute.reference = this.name(field);
      else if (field.number === 22) attribute.sparse = true;
    }
    return attribute;
  }

  /** Axes and shapes are short; long lists are none, and left where they are. */
  private integers(field: Field, list: number[]): void {
    if (field.end - field.start <= 1000 && list.length < 1000) list.push(...this.reader.integers(field));
  }

  /** @param before what was read of the list when each float is a field of its own */
  private floats({ wire, start, end }: Field, before: OnnxTensor | undefined): OnnxTensor {
    if ((wire !== 2 && wire !== 5) || (end - start) % 4 !== 0)
      throw this.reader.damaged(`${end - start} bytes at ${start} where floats should be`);
    this.count(MESSAGE);
    const tensor = before ?? {
      kind: 'tensor',
      name: '',
      dims: [0],
      type: FLOAT,
      typed: [],
      segmented: false,
    };
    tensor.dims[0] += (end - start) / 4;
    tensor.typed.push({ field: FLOAT_DATA, start, end });
    return tensor;
  }

  private tensor(message: Field): OnnxTensor {
    const { reader } = this;
    const tensor: OnnxTensor = { kind: 'tensor', name: '', dims: [], type: 0, typed: [], segmented: false };
    let external: Map<string, string> | undefined;
    let outside = false;
    for (const field of this.fields(message)) {
      const { number, wire, start, end } = field;
      if (number === 1) {
        const fits = end - start <= 10 * HIGHEST_RANK;
        if (fits) tensor.dims.push(...reader.integers(field));
        if (!fits || tensor.dims.length > HIGHEST_RANK)
          throw reader.damaged(`a tensor of more than ${HIGHEST_RANK} dimensions`);
      } else if (number === 2) tensor.type = field.value;
      else if (number === 3) tensor.segmented = true;
      else if (number === 4 || number === 5 || number === 7 || number === 10) {
        this.count(MESSAGE);
        tensor.typed.push({ field: number, start, end });
      } else if (number === 8) tensor.name = this.name(field);
      else if (number === 9) {
        if (wire !== 2) throw reader.damaged(`a number at byte ${start} where raw data should be`);
        tensor.raw = { start, end };
      } else if (number === 13) {
        const [key, value] = this.entry(field);
        external ??= new Map();
        external.set(key, value);
      } else if (number === 14) outside = field.value === EXTERNAL;
    }
    if (outside) tensor.external = external ?? new Map();
    return tensor;
  }

  /** OperatorSetIdProto. @returns the version, of the standard operators only */
  private opset(message: Field): number | undefined {
    let [domain, version] = ['', 0];
    for (const field of this.fields(message)) {
      if (field.number === 1) domain = this.name(field);
      else if (field.number === 2) version = field.value;
    }
    return domain === '' || domain === 'ai.onnx' ? version : undefined;
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
