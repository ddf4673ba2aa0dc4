// Arrays of every type that onnxruntime takes and gives.

/** Which array holds values of a type; of float16 their bits. */
export const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

export interface EngineArray {
  type: keyof typeof ARRAYS;
  shape: readonly number[];
  /** Row-major. */
  data: InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;
}
