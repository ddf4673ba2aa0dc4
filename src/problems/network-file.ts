// The network that --arch names: one of the project's, or one that a file describes. A run keeps the description itself,
// so that nothing depends on the file later.
import { readText } from '../formats/read-file.js';
import { architectures, type DescribedNetwork, networkFromYaml } from '../network/index.js';
import { readOnnxNetwork } from './onnx-network.js';

const YAML = /\.ya?ml$/i;
const ONNX = /\.onnx$/i;

/** What --arch takes, for help and messages. */
export const ARCHITECTURES = `${[...architectures.keys()].join(', ')}, or a file network.yaml or model.onnx`;

export const isNetworkFile = (arch: string): boolean => YAML.test(arch) || ONNX.test(arch);

/** Whether --arch can be this word; whether a file is there is seen when it is read. */
export const isArchitecture = (arch: string): boolean => architectures.has(arch) || isNetworkFile(arch);

/**
 * @returns a name of the project's, or the description that the file holds
 * @throws DwpError INPUT when the file cannot be read, USAGE when it describes no network
 */
export const readNetwork = (arch: string | DescribedNetwork): string | DescribedNetwork => {
  if (typeof arch !== 'string') return arch;
  if (ONNX.test(arch)) return readOnnxNetwork(arch).network;
  return YAML.test(arch) ? networkFromYaml(readText(arch), arch) : arch;
};
