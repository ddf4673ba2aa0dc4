/** What went wrong, in the terms of the exit code it ends in. */
export type ErrorCode = 'USAGE' | 'INPUT' | 'DIVERGED' | 'INTERRUPTED';

const EXIT_CODES: Record<ErrorCode, number> = { USAGE: 2, INPUT: 3, DIVERGED: 4, INTERRUPTED: 130 };

/**
 * The one error type that the project throws on purpose: a message that names the file or number at fault and
 * a hint that says what to do. Anything else that is thrown is a bug (exit code 1).
 */
export class DwpError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'DwpError';
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** A wrong option, argument or configuration: exit code 2. */
export const usageError = (message: string, hint?: string) => new DwpError('USAGE', message, hint);

/** A file or dataset that cannot be read or is invalid: exit code 3. */
export const inputError = (message: string, hint?: string, cause?: unknown) =>
  new DwpError('INPUT', message, hint, { cause });

/** The message of anything thrown, on one line, without control characters. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return escapeControls(text.replace(/\s+/g, ' ').trim());
}

/** What moves a terminal's cursor, ends a line, or turns text around. */
const CONTROL = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Untrusted text as one line that a terminal shows as it is: control characters are escaped as in JSON. */
export const escapeControls = (text: string): string =>
  text.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
