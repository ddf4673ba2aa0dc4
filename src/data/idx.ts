// IDX files (the format of MNIST), plain or gzipped, and folders of the four of them that make a dataset.
import { constants, gunzipSync } from 'node:zlib';
import { inputError, messageOf } from '../errors.js';
import { readBytes } from '../formats/read-file.js';
import type { Dataset, ImageSet } from './dataset.js';
import { findIdxFiles } from './idx-files.js';

/** Bytes of an IDX file with their shape, for example [60000, 28, 28]. */
export interface IdxArray {
  shape: number[];
  data: Uint8Array;
}

const UNSIGNED_BYTE = 0x08;
const MAX_RANK = 4;
const HEADER_BYTES_MAX = 4 + 4 * MAX_RANK;
const MAX_DEFLATE_RATIO = 1032; // one deflated byte can hold no more

/** Photographs and digits shrink to a third or a tenth: more than this from a large file is a bomb. */
const MOST_RATIO = 200;
const LARGE = 2 ** 26;

/**
 * Parses an IDX array of unsigned bytes with one to four dimensions.
 * @param bytes the file, gzipped or not; unzipped no further than its header says. The result may share its memory.
 * @param name what to call the file in an error
 * @throws DwpError INPUT for anything else, including bytes after the end
 */
export function parseIdx(bytes: Uint8Array, name: string): IdxArray {
  const bad = (why: string, cause?: unknown) =>
    inputError(`${name}: ${why}`, 'expected an IDX file of unsigned bytes, as MNIST is stored', cause);
  const gzipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const { shape, start } = parseHeader(gzipped ? gunzipStart(bytes, bad) : bytes, bad);
  const size = start + shape.reduce((a, b) => a * b, 1);
  let plain = bytes;
  if (gzipped) {
    if (!(size <= bytes.length * MAX_DEFLATE_RATIO))
      throw bad(`header says [${shape}], more than ${bytes.length} gzipped bytes can hold`);
    if (size > Math.max(LARGE, MOST_RATIO * bytes.length))
      throw bad(`${bytes.length} gzipped bytes unzip to ${size}, more than ${MOST_RATIO} times as many`);
    try {
      plain = gunzipSync(bytes, { maxOutputLength: size });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        throw bad(`header says [${shape}], the file holds more`, error);
      throw bad(`cannot be unzipped (${messageOf(error)})`, error);
    }
  }
  if (plain.length !== size)
    throw bad(`header says [${shape}] (${size} bytes in all), the file holds ${plain.length}`);
  return { shape, data: new Uint8Array(plain.buffer, plain.byteOffset + start, size - start) };
}

type Bad = (why: string, cause?: unknown) => Error;

function parseHeader(bytes: Uint8Array, bad: Bad): { shape: number[]; start: number } {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0) throw bad('not an IDX file');
  if (bytes[2] !== UNSIGNED_BYTE)
    throw bad(`values of IDX type 0x${bytes[2].toString(16).padStart(2, '0')}, not unsigned bytes (0x08)`);
  const rank = bytes[3];
  if (rank < 1 || rank > MAX_RANK) throw bad(`${rank} dimensions, not 1 to ${MAX_RANK}`);
  const start = 4 + 4 * rank;
  if (bytes.length < start) throw bad('truncated header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { shape: Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i)), start };
}

/** The first bytes of a gzipped file, enough for the header. */
function gunzipStart(bytes: Uint8Array, bad: Bad): Uint8Array {
  try {
    // A flush instead of a finish accepts that the input stops in the middle.
    return gunzipSync(bytes.subarray(0, 1024), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(
      0,
      HEADER_BYTES_MAX,
    );
  } catch (error) {
    throw bad(`cannot be unzipped (${messageOf(error)})`, error);
  }
}

/** The shape that a file's header says. @throws DwpError INPUT as {@link parseIdx} */
function shapeOf(bytes: Uint8Array, name: string): number[] {
  const bad = (why: string, cause?: unknown) => inputError(`${name}: ${why}`, undefined, cause);
  const gzipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return parseHeader(gzipped ? gunzipStart(bytes, bad) : bytes, bad).shape;
}

/**
 * Reads the four IDX files of a folder (see idx-files.ts for their names).
 * @param classes how many classes there are; undefined: as many as the training labels show
 * @throws DwpError INPUT when a file is missing or invalid, or the four do not belong together
 */
export function readIdxDirectory(directory: string, name: string, classes?: number): Dataset {
  const files = findIdxFiles(directory, name);
  // Labels first: they are small, and a wrong folder shows at once.
  const labels = (path: string) => ({ path, ...parseIdx(readBytes(path), path) });
  const images = (path: string, { data, path: of }: NamedIdx) => {
    const bytes = readBytes(path);
    const [count] = shapeOf(bytes, path); // before anything is unzipped
    if (count !== data.length) throw unequal(of, data.length, path, count);
    return { path, ...parseIdx(bytes, path) };
  };
  const trainLabels = labels(files.trainLabels);
  const testLabels = labels(files.testLabels);
  const classCount = classes ?? trainLabels.data.reduce((most, label) => Math.max(most, label), 0) + 1;
  const train = imageSet(images(files.trainImages, trainLabels), trainLabels, classCount);
  const test = imageSet(images(files.testImages, testLabels), testLabels, classCount);
  for (const side of ['height', 'width', 'channels'] as const)
    if (train[side] !== test[side])
      throw inputError(
        `${directory}: training images have ${side} ${train[side]}, test images ${test[side]}`,
        'put the four files of one dataset into the folder',
      );
  return { name, train, test };
}

const unequal = (labels: string, count: number, images: string, imageCount: number) =>
  inputError(
    `${labels}: ${count} labels for the ${imageCount} images of ${images}`,
    'put the four files of one dataset into the folder',
  );

type NamedIdx = IdxArray & { path: string };

function imageSet(images: NamedIdx, labels: NamedIdx, classes: number): ImageSet {
  if (images.shape.length < 3)
    throw inputError(`${images.path}: shape [${images.shape}], expected [images, height, width]`);
  if (labels.shape.length !== 1)
    throw inputError(`${labels.path}: shape [${labels.shape}], expected one label per image`);
  const [count, height, width, channels = 1] = images.shape;
  if (count === 0 || images.data.length === 0) throw inputError(`${images.path}: holds no images`);
  if (labels.data.length !== count) throw unequal(labels.path, labels.data.length, images.path, count);
  const wrong = labels.data.findIndex((label) => label >= classes);
  if (wrong >= 0)
    throw inputError(
      `${labels.path}: label ${labels.data[wrong]} of image ${wrong} is not below ${classes}, the number of classes`,
    );
  return { images: images.data, labels: labels.data, count, height, width, channels, classes };
}
