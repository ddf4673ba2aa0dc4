// Sets of rows as one bit each.

export const bitsFor = (rows: number): Uint8Array<ArrayBuffer> => new Uint8Array(Math.ceil(rows / 8));
export const hasBit = (bits: Uint8Array, row: number): boolean => ((bits[row >>> 3] >>> (row & 7)) & 1) === 1;
export const setBit = (bits: Uint8Array, row: number): void => {
  bits[row >>> 3] |= 1 << (row & 7);
};
export const clearBit = (bits: Uint8Array, row: number): void => {
  bits[row >>> 3] &= ~(1 << (row & 7));
};
