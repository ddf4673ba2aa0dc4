// Types of build/tfjs.mjs, the bundle that scripts/bundle-tfjs.mjs makes.
export * from '@tensorflow/tfjs-core';
