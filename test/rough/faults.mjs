// Loaded into a process before the program (`node --import`). DWP_FAULT is JSON: the n-th call of one of these functions
// of node:fs kills the process, or fails with an error of the system; `after` lets that many pass first, `path` counts
// only paths that hold it.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { calls, at, code, path = '', forever = false } = JSON.parse(process.env.DWP_FAULT);
let seen = 0;
for (const name of calls) {
  const original = fs[name];
  fs[name] = (...args) => {
    if (path !== '' && !args.some((arg) => typeof arg === 'string' && arg.includes(path)))
      return original(...args);
    seen++;
    if (seen === at || (forever && seen > at)) {
      if (code === undefined) process.kill(process.pid, 'SIGKILL');
      throw Object.assign(new Error(`${code}: made by the test, ${name}`), { code, syscall: name });
    }
    return original(...args);
  };
}
syncBuiltinESMExports();
