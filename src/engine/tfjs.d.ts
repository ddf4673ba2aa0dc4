// Types of build/tfjs.mjs, the bundle that scripts/bundle-tfjs.mjs makes. They speak of images and WebGL textures, which
// programs for Node do not have among their types otherwise.
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
export * from '@tensorflow/tfjs-core';
