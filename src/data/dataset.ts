// What an image dataset is: plain arrays of pixels and class numbers.

/** Images as they were stored: 0–255, not scaled. */
export interface ImageSet {
  images: Uint8Array; // [count, height, width, channels]
  /** Class of each image, from 0 to classes − 1. */
  labels: Uint8Array | Int32Array; // [count]
  count: number;
  height: number;
  width: number;
  channels: number;
  classes: number;
}

export interface Dataset {
  name: string;
  train: ImageSet;
  test: ImageSet;
}

/** A dataset that can be asked for by name; where its files lie is its own business. */
export interface DatasetSource {
  name: string;
  /** One line: what is on the images, how many there are. */
  description: string;
  classes: number;
  /** @throws DwpError INPUT, with a hint where to get the files, when they are not on this machine. */
  directory(): string;
}
