// Files that hold networks but are not read: what they are, and how to make something of them that is.

export interface OtherKind {
  /** How names of such files end, lower case. */
  endings: readonly string[];
  /** A noun phrase: what such a file is. */
  what: string;
  /** An imperative: what its owner can do. */
  remedy: string;
}

const kind = (what: string, remedy: string, ...endings: string[]): OtherKind => ({ endings, what, remedy });

const KINDS: readonly OtherKind[] = [
  kind(
    'a program of torch.export',
    'save its weights: torch.save(torch.export.load(file).state_dict, "model.pt")',
    '.pt2',
  ),
  kind('a model of ONNX Runtime', 'use the .onnx file that it was made of', '.ort'),
  kind(
    'parameters of PaddlePaddle',
    'convert the model to ONNX with paddle2onnx',
    '.pdparams',
    '.pdiparams',
    '.pdmodel',
    '.pdopt',
  ),
  kind('weights of Darknet', 'convert them to PyTorch or ONNX', '.weights', '.conv.137'),
  kind(
    'a model of Core ML',
    'use the model that it was converted from',
    '.mlmodel',
    '.mlpackage',
    '.mlmodelc',
  ),
  kind(
    'a network of Caffe',
    'load it with pycaffe and save net.params with numpy.savez, or convert it to ONNX',
    '.caffemodel',
  ),
  kind(
    'parameters of MXNet',
    'export the model with mxnet.onnx.export_model, or save the arrays with numpy.savez',
    '.params',
  ),
  kind(
    'parameters of Flax in MessagePack',
    'load them with flax.serialization and save them with safetensors.flax.save_file',
    '.msgpack',
  ),
  kind('a model of llama.cpp', 'use the model that it was converted from', '.gguf', '.ggml'),
  kind(
    'a graph of TensorFlow',
    'convert it to ONNX with tf2onnx, or load it with Keras and save a .keras file',
    '.pb',
    '.pbtxt',
  ),
  kind(
    'a part of a TensorFlow checkpoint',
    'restore the model and save a .keras file, or export the variables with numpy.savez',
    '.index',
    '.meta',
    '.data-00000-of-00001',
  ),
  kind('a network of Lua Torch', 'load it with the torchfile package and save numpy.savez', '.t7', '.net'),
  kind('variables of MATLAB', 'load them with scipy.io.loadmat and save them with numpy.savez', '.mat'),
  kind(
    'a Python pickle that torch.save did not write',
    'load it in Python and save its arrays with numpy.savez or its tensors with torch.save',
    '.pkl',
    '.pickle',
    '.joblib',
    '.dill',
  ),
  kind('a compiled engine of TensorRT', 'use the model that it was built from', '.engine', '.plan', '.trt'),
  kind(
    'a model compiled for one kind of device',
    'use the model that it was converted from',
    '.rknn',
    '.om',
    '.dlc',
    '.mnn',
    '.tmfile',
    '.hef',
    '.xmodel',
    '.uff',
    '.circle',
    '.nb',
  ),
  kind('a model archive of TorchServe', 'unpack it: it is a zip archive', '.mar'),
  kind('a model of CNTK', 'convert it to ONNX with CNTK itself', '.cntk', '.dnn'),
  kind('weights as BigDL or MindSpore writes them', 'export the model to ONNX', '.bigdl', '.mindir'),
  kind('numbers without names, as OpenVINO, ncnn and others write them', 'export the model to ONNX', '.bin'),
  kind('an archive', 'unpack it', '.zip', '.tar', '.gz', '.tgz', '.7z', '.rar', '.xz', '.bz2', '.zst'),
  kind('an array, which may be weights or data', 'name the file itself where it holds weights', '.npy'),
];

/** What a file is by its name; undefined where no network is known to be kept under such a name. */
export function otherKind(path: string): OtherKind | undefined {
  const name = path.toLowerCase();
  return (
    KINDS.find(({ endings }) => endings.some((ending) => name.endsWith(ending))) ??
    (/\.data-\d{5}-of-\d{5}$/.test(name)
      ? KINDS.find(({ endings }) => endings.includes('.index'))
      : undefined)
  );
}

/** Endings of files that lie beside models and hold none. */
const BESIDE =
  /\.(txt|md|rst|html?|css|js|mjs|ts|json|jsonl|ya?ml|toml|ini|cfg|conf|csv|tsv|xml|log|py|pyc|ipynb|c|cc|cpp|h|hpp|cu|sh|bat|lua|m|r|proto|prototxt|png|jpe?g|gif|bmp|webp|svg|ico|tiff?|pdf|tex|bib|mp4|mov|avi|wav|mp3|parquet|arrow|db|lock|tmp|pid|license|licence|sha256|md5|sig|asc|onnx[._]data|data|tflog|events\.out\..*)$/i;

/** Whether a file is of a kind that nothing is known about. */
export const isUnknownKind = (path: string): boolean =>
  !path.split(/[\\/]/).some((part) => part.startsWith('.')) && /\.[^./\\]+$/.test(path) && !BESIDE.test(path);
