export declare function fetchPackage(name: string): string;
