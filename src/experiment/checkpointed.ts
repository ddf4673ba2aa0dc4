// Work that is saved every so often, when it is interrupted, and at its end.
import { DwpError } from '../errors.js';

/**
 * @param everySeconds between two saves
 * @param work calls `stepped` wherever it may be saved
 * @returns what it has come to, and the seconds that it took
 * @throws what `work` throws; DwpError INTERRUPTED, after a save, says how to go on
 */
export async function checkpointed<T>(
  folder: string,
  everySeconds: number,
  save: () => void,
  work: (stepped: () => void) => Promise<T>,
): Promise<{ result: T; seconds: number }> {
  const began = Date.now();
  let saved = began;
  const stepped = () => {
    if (Date.now() - saved < 1000 * everySeconds) return;
    save();
    saved = Date.now();
  };
  try {
    const result = await work(stepped);
    const seconds = (Date.now() - began) / 1000;
    save();
    return { result, seconds };
  } catch (error) {
    if (!(error instanceof DwpError && error.code === 'INTERRUPTED')) throw error;
    save();
    throw new DwpError(
      'INTERRUPTED',
      `${error.message}, checkpoint written`,
      `continue with dwp train --resume ${folder}`,
    );
  }
}
