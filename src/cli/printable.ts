// Text from files made safe for a terminal: nothing moves the cursor, changes colours, or turns the writing direction.

// C0 but tab and line end, DEL, C1, zero-width and bidirectional controls, line and paragraph separators
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Control characters become visible signs: ␛ for an escape, � for those without a sign of their own. */
export const printable = (text: string): string => text.replace(UNSAFE, sign);

/** The same on one line: line ends and tabs become signs, too. */
export const printableLine = (text: string): string => printable(text).replace(/[\t\n]/g, sign);

function sign(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 32) return String.fromCharCode(0x2400 + code);
  return code === 127 ? '␡' : '�';
}
