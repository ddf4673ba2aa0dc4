// @ts-check
// Bounds on what an HDF5 file may make its readers do.

export const MOST_OBJECTS = 200_000;
export const DEEPEST = 32;
/** Trained weights hardly compress; a dataset that claims far more than its file is a fill value or a lie. */
const MOST_EXPANSION = 32;

/** Of one dataset. @param {number} fileBytes */
export const mostBytes = (fileBytes) => 2 ** 20 + MOST_EXPANSION * fileBytes;
