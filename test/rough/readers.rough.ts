// Readers that leave: output ends, work does not, and the exit code says what became of the work.
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dwp, QUICK, scratch, shell, writeKernels } from './program.js';

test('a training goes on when nobody reads its messages or its result', async () => {
  const at = scratch();
  await dwp('fit-prior', writeKernels(at('kernels.npy')), '--family', 'gaussian', '--out', at('prior'));
  // neither layer has such kernels: two warnings
  const prior = `--prior dwp --prior-path ${at('prior')} --fallback normal`;
  const train = (out: string) => `dwp train ${prior} ${QUICK.join(' ')} --out ${at(out)}`;
  const { out } = await shell(`
    ${train('errors')} 2> >(exec true) > /dev/null; echo $?
    ${train('both')} 2>&1 | head -1 > /dev/null; echo \${PIPESTATUS[0]}
    ${train('result')} 2> /dev/null | true; echo \${PIPESTATUS[0]}
    ${train('result')} 2> /dev/null | true; echo \${PIPESTATUS[0]}
  `);
  expect(out.split('\n')).toEqual(['0', '0', '0', '2']);
  for (const run of ['errors', 'both', 'result']) expect(existsSync(at(run, 'summary.json'))).toBe(true);
});
