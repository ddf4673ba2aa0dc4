// The part of docs/own-networks.md that the kinds of layers themselves say: a table of each one's options.
import { z } from 'zod';
import { layerKinds } from '../../src/network/index.js';

interface Described {
  properties?: Record<string, { description?: string; default?: unknown }>;
  required?: string[];
}

/** Markdown of one kind: its options, what they mean, and their defaults. */
export function kindTable(kind: string): string {
  const { options, inputs } = layerKinds.get(kind)!;
  const { properties = {}, required = [] } = z.toJSONSchema(options, { io: 'input' }) as Described;
  const rows = Object.entries(properties).map(([name, { description = '', default: start }]) => {
    const otherwise = required.includes(name)
      ? 'required'
      : start === undefined
        ? ''
        : `\`${JSON.stringify(start)}\``;
    return `| \`${name}\` | ${description} | ${otherwise.replaceAll('"', '')} |`;
  });
  const head = `### \`${kind}\`${inputs === 'several' ? ' (several inputs)' : ''}\n\n`;
  return rows.length > 0
    ? `${head}| option | meaning | default |\n| --- | --- | --- |\n${rows.join('\n')}\n`
    : `${head}No options.\n`;
}

/** Tables of all kinds with options; kinds without any are a list. */
export function kindTables(): string {
  const kinds = [...layerKinds.keys()];
  const plain = kinds.filter(
    (kind) => kindTable(kind).endsWith('No options.\n') && layerKinds.get(kind)!.inputs === 'one',
  );
  return [
    ...kinds.filter((kind) => !plain.includes(kind)).map(kindTable),
    `### Kinds without options\n\n${plain.map((kind) => `\`${kind}\``).join(', ')}\n`,
  ].join('\n');
}
