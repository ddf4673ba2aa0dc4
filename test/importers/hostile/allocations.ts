// Counts the bytes of every buffer that JavaScript code asks for: exact, where the process's memory would be noise.

const ARRAYS = [
  ...['ArrayBuffer', 'SharedArrayBuffer', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array'],
  ...[
    'Uint16Array',
    'Int32Array',
    'Uint32Array',
    'Float32Array',
    'Float64Array',
    'BigInt64Array',
    'BigUint64Array',
  ],
] as const;

const count = (size: unknown) => {
  if (allocations.running && typeof size === 'number')
    allocations.largest = Math.max(allocations.largest, size);
};

export const allocations = {
  running: false,
  /** Bytes of the largest one since `start`. */
  largest: 0,
  start(): void {
    install();
    allocations.largest = 0;
    allocations.running = true;
  },
  stop(): void {
    allocations.running = false;
  },
};

type Constructor = (new (...args: never[]) => object) & { BYTES_PER_ELEMENT?: number };

let installed = false;

/** Stands in for the global constructors, and for the functions of Buffer, for as long as the process lives. */
function install(): void {
  if (installed) return;
  installed = true;
  const globals = globalThis as unknown as Record<string, Constructor>;
  for (const name of ARRAYS) {
    const original = globals[name];
    const width = original.BYTES_PER_ELEMENT ?? 1;
    const watched: Constructor = new Proxy(original, {
      construct: (target, args: unknown[], newTarget): object => {
        const [first] = args;
        if (typeof first === 'number') count(first * width);
        else if (Array.isArray(first) || ArrayBuffer.isView(first))
          count((first as unknown as { length: number }).length * width);
        return Reflect.construct(target, args, newTarget === watched ? target : newTarget);
      },
    });
    Object.defineProperty(original.prototype, 'constructor', {
      value: watched,
      writable: true,
      configurable: true,
    });
    globals[name] = watched;
  }
  const functions = Buffer as unknown as Record<string, (size: number, ...rest: never[]) => Buffer>;
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow']) {
    const original = functions[name];
    functions[name] = (size, ...rest) => {
      count(size);
      return original.call(Buffer, size, ...rest);
    };
  }
}
