// Work that is saved every so often, when it is interrupted, and at its end.
import { DwpError } from '../errors.js';

/**
 * @param everySeconds between two saves
 * @param work calls `stepped` wherever it may be saved
 * @returns what it has come to, and the seconds that it took
 * @throws what `work` throws; DwpError INPUT when a save fails; DwpError INTERRUPTED, after a save, says how to go on
 */
export async function checkpointed<T>(
  folder: string,
  everySeconds: number,
  save: () => void,
  work: (stepped: () => void) => Promise<T>,
): Promise<{ result: T; seconds: number }> {
  const began = Date.now();
  let saved = began;
  const saveNow = () => {
    try {
      save();
    } catch (error) {
      if (!(error instanceof DwpError && error.code === 'INPUT')) throw error;
      const hint = `mend that, then continue from the last checkpoint with dwp train --resume ${folder}`;
      throw new DwpError('INPUT', error.message, hint, { cause: error });
    }
  };
  const stepped = () => {
    if (Date.now() - saved < 1000 * everySeconds) return;
    saveNow();
    saved = Date.now();
  };
  try {
    const result = await work(stepped);
    const seconds = (Date.now() - began) / 1000;
    saveNow();
    return { result, seconds };
  } catch (error) {
    if (!(error instanceof DwpError && error.code === 'INTERRUPTED')) throw error;
    saveNow();
    throw new DwpError(
      'INTERRUPTED',
      `${error.message}, checkpoint written`,
      `continue with dwp train --resume ${folder}`,
    );
  }
}
