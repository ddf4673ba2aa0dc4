// Archives as npm packs them, for tests.
import { gzipSync } from 'node:zlib';

export interface TarContent {
  name: string;
  content?: Uint8Array | string;
  /** `0` a file, `2` a link, `5` a folder, `x` a header with the next one's name. */
  type?: string;
  /** What the header claims instead of the truth. */
  claims?: { size?: number; checksum?: number };
}

export function tarball(contents: readonly TarContent[]): Buffer {
  const blocks = contents.flatMap(({ name, content = '', type = '0', claims }) => {
    const bytes = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write(`${(claims?.size ?? bytes.length).toString(8).padStart(11, '0')}\0`, 124);
    header.write('        ', 148);
    header.write(type, 156);
    header.write('ustar\u000000', 257);
    const sum = claims?.checksum ?? header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}
