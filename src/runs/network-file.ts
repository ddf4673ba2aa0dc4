// The network that --arch names: one of the project's, or one that a file describes. A run keeps the description itself,
// so that nothing depends on the file later.
import { readText } from '../formats/read-file.js';
import { architectures, type DescribedNetwork, networkFromYaml } from '../network/index.js';

const YAML = /\.ya?ml$/i;

/** What --arch takes, for help and messages. */
export const ARCHITECTURES = `${[...architectures.keys()].join(', ')}, or a file network.yaml`;

export const isNetworkFile = (arch: string): boolean => YAML.test(arch);

/** Whether --arch can be this word; whether a file is there is seen when it is read. */
export const isArchitecture = (arch: string): boolean => architectures.has(arch) || isNetworkFile(arch);

/**
 * @returns a name of the project's, or the description that the file holds
 * @throws DwpError INPUT when the file cannot be read, USAGE when it describes no network
 */
export const readNetwork = (arch: string | DescribedNetwork): string | DescribedNetwork =>
  typeof arch === 'string' && isNetworkFile(arch) ? networkFromYaml(readText(arch), arch) : arch;
