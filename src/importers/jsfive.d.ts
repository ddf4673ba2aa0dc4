// Types of the parts of jsfive that are used; the package has none. Names with an underscore are its internals:
// the version is pinned.
declare module 'jsfive' {
  interface Fields {
    get(name: string): number;
  }
  export interface DataObjects {
    offset: number;
    msgs: Fields[];
    filter_pipeline: Fields[] | null;
    unpack_attribute(offset: number): [string, unknown];
  }
  export class Group {
    _links: Record<string, unknown>;
    _dataobjects: DataObjects;
    get(name: string): Group | Dataset;
  }
  export class File extends Group {
    constructor(buffer: ArrayBuffer);
  }
  export class Dataset {
    _dataobjects: DataObjects;
    shape: number[];
    value: number[];
  }
  export const Filters: Map<number, (buffer: ArrayBuffer, itemSize: number) => ArrayBuffer>;
}
