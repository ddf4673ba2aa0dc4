// Pickles for tests, put together operation by operation.

type Part = string | Uint8Array | readonly number[];

/** Bytes of a pickle: text as Latin-1, numbers as bytes. */
export const bytesOf = (...parts: Part[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    Buffer.concat(
      parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Uint8Array.from(part))),
    ),
  );

export const PROTOCOL_2 = [0x80, 2];
export const global = (module: string, name: string) => `c${module}\n${name}\n`;
export const text = (value: string) =>
  bytesOf('X', u32(new TextEncoder().encode(value).length), new TextEncoder().encode(value));
export const int = (value: number) => bytesOf('J', u32(value));
export const tuple = (...items: Part[]) => bytesOf('(', ...items, 't');
export const call = (callee: Part, ...args: Part[]) => bytesOf(callee, tuple(...args), 'R');
export const dict = (...items: (readonly [Part, Part])[]) => bytesOf('}(', ...items.flat(), 'u');

export const u32 = (value: number) => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
};

/** A storage as torch.save refers to it. */
export const storage = (key: string, count: Part, type = global('torch', 'FloatStorage')) =>
  bytesOf(tuple(text('storage'), type, text(key), text('cpu'), count), 'Q');

/** A tensor of a storage. */
export const tensor = (stored: Part, offset: Part, size: Part, strides: Part) =>
  call(global('torch._utils', '_rebuild_tensor_v2'), stored, offset, size, strides, [0x89], 'N');
