"""Writes test/fixtures/onnx: one small network in every form in which ONNX files hold the weights of convolutions.

    python3 -m venv venv && venv/bin/pip install onnx==1.23.2 onnxruntime==1.32.0 ml_dtypes==0.6.0 sympy
    venv/bin/python scripts/write-onnx-fixtures.py

Each variant says with how many bits and by which nodes its weights come to the convolutions. expected.json has the
kernels of every file as [out, in of group, h, w] (base64 of float32), by layer: those of quantised files are
(q - zero point) * scale as NumPy computes it, and stand beside the kernels from before and each layer's largest
quantisation step. No layer has a bias.
"""

import base64
import json
import pathlib
import shutil
import tempfile

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

OUT = pathlib.Path(__file__).parent.parent / 'test' / 'fixtures' / 'onnx'
random = np.random.default_rng(4)

# name → operator, groups, shape as ONNX stores it, attributes; no two layers have kernels of the same shape
LAYERS = {
    'stem': ('Conv', 1, (6, 4, 3, 3), {}),
    'grouped': ('Conv', 2, (6, 3, 3, 2), {}),
    'depthwise': ('Conv', 6, (6, 1, 5, 5), {}),
    'up': ('ConvTranspose', 2, (6, 2, 3, 2), {'strides': [2, 2]}),
    'wide': ('Conv', 1, (3, 4, 1, 7), {}),
}
IMAGE, RESULT = [1, 4, 9, 12], [1, 3, 3, 4]
WEIGHTS = {
    name: random.normal(size=shape, scale=np.prod(shape[1:]) ** -0.5) for name, (_, _, shape, _) in LAYERS.items()
}
FLOAT32 = {name: weights.astype(np.float32) for name, weights in WEIGHTS.items()}
NORM = {
    'gamma': np.float32([0.5, -1.5, 1, 2, 0.25, 0.75]),
    'beta': np.float32([0.1, -0.2, 0, 0.3, 0.2, -0.1]),
    'mean': np.float32([0.2, 0, -0.1, 0.05, -0.3, 0.1]),
    'variance': np.float32([1, 0.04, 0.5, 2, 0.01, 0.3]),
}
EPSILON = 1e-3


class Parts:
    """What a graph is put together from."""

    def __init__(self):
        self.nodes, self.initializers, self.outer, self.functions = [], [], [], []

    def store(self, name, array, data_type=None, raw=True, outer=False):
        """An initializer of this graph, or of the graph around it."""
        (self.outer if outer else self.initializers).append(tensor(name, array, data_type, raw))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f'{output}_node', **attributes))
        return output


def tensor(name, array, data_type=None, raw=True):
    """@param raw: else in float_data, int32_data, …, one number after the other"""
    array = np.asarray(array)
    data_type = data_type or helper.np_dtype_to_tensor_dtype(array.dtype)
    if raw:
        return numpy_helper.from_array(array.astype(helper.tensor_dtype_to_np_dtype(data_type)), name)
    return helper.make_tensor(name, data_type, array.shape, array.ravel())


def chain(parts, supply, image='image', norm=True, layers=LAYERS, prefix=''):
    """The network: each layer reads the one before. @param supply (parts, name) → name of the layer's weights"""
    value = image
    for name in layers:
        operator, group, _, attributes = LAYERS[name]
        weights = supply(parts, name)
        inputs = [value, weights]
        value = f'{prefix}{name}_y' if name != 'wide' else f'{prefix}y'
        parts.nodes.append(
            helper.make_node(operator, inputs, [value], name=f'{prefix}{name}', group=group, **attributes)
        )
        if norm and name == 'stem':
            value = normalised(parts, value, f'{prefix}norm')
    return value


def normalised(parts, value, output, size=6):
    names = [parts.store(f'{output}_{key}', array[:size]) for key, array in NORM.items()]
    return parts.node('BatchNormalization', [value, *names], output, epsilon=EPSILON)


IR_OF_OPSET = {7: 3, 9: 4, 11: 6, 13: 7, 17: 8, 21: 10, 23: 11}


def model(parts, opset=17, output='y', result=RESULT, image=IMAGE, data_type=TensorProto.FLOAT, inputs=(), check=True):
    ir = next(version for last, version in reversed(IR_OF_OPSET.items()) if opset >= last)
    values = [helper.make_tensor_value_info('image', data_type, image), *inputs]
    if ir < 4:  # initializers are defaults of inputs
        values += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in parts.initializers]
    graph = helper.make_graph(
        parts.nodes,
        'net',
        values,
        [helper.make_tensor_value_info(output, data_type, result)],
        parts.initializers + parts.outer,
    )
    imports = [helper.make_opsetid('', opset)] + ([helper.make_opsetid('local', 1)] if parts.functions else [])
    made = helper.make_model(
        graph, opset_imports=imports, functions=parts.functions, producer_name='onnx', ir_version=ir
    )
    if check:
        onnx.checker.check_model(made)
    return made


expected = {'image': {}, 'norm': {}, 'kernels': {}, 'files': {}}


def encoded(array):
    array = np.ascontiguousarray(array, '<f4')
    return {'shape': list(array.shape), 'data': base64.b64encode(array.tobytes()).decode()}


def put(key, weights):
    """In the layout that importers return. @returns the key of the kernels: of other files, where they are the same"""
    layers = {}
    for name, stored in weights.items():
        operator, group, shape, _ = LAYERS[name]
        kernels = np.asarray(stored, np.float32)
        assert kernels.shape == shape
        kind = 'depthwise' if name == 'depthwise' else 'conv'
        if operator == 'ConvTranspose':
            kernels = kernels.reshape(group, -1, *shape[1:]).swapaxes(1, 2)
            kernels = kernels.reshape(-1, *kernels.shape[2:])
            kind = 'transposed'
        layers[name] = {'kind': kind, **encoded(kernels)}
    for known, others in expected['kernels'].items():
        if others == layers:
            return known
    expected['kernels'][key] = layers
    return key


def save(file, made, kernels, dtype, **more):
    """@param more: dtypes of single layers; norm; tolerance of the output, relative to its largest value; …"""
    path = OUT / file
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(made, path)
    expected['files'][file] = {'kernels': kernels, 'dtype': dtype, **more}


def write(file, supply, kernels='float32', dtype='float32', opset=17, norm=True, more={}):
    parts = Parts()
    chain(parts, supply, norm=norm)
    save(file, model(parts, opset), kernels, dtype, **({} if norm else {'norm': False}), **more)


def cast(parts, name, stored):
    return parts.node('Cast', [stored], f'{name}.wide', to=TensorProto.FLOAT)


def plain(parts, name):
    return parts.store(f'{name}.w', FLOAT32[name])


# floats of every width, raw and typed
def floats():
    put('float32', FLOAT32)
    for opset in IR_OF_OPSET:
        write(f'float32-opset{opset}.onnx', plain, opset=opset)
    write('float32-typed.onnx', lambda parts, name: parts.store(f'{name}.w', FLOAT32[name], raw=False))
    widths = {
        'float16': (np.float16, TensorProto.FLOAT16),
        'bfloat16': (ml_dtypes.bfloat16, TensorProto.BFLOAT16),
        'float64': (np.float64, TensorProto.DOUBLE),
    }
    for dtype, (numpy_type, data_type) in widths.items():
        stored = {name: weights.astype(numpy_type) for name, weights in WEIGHTS.items()}
        key = put(dtype, stored)
        for raw, form in ((True, 'raw'), (False, 'typed')):
            write(
                f'{dtype}-{form}.onnx',
                lambda parts, name: cast(parts, name, parts.store(f'{name}.w', stored[name], data_type, raw)),
                key,
                dtype,
            )
    # the convolutions themselves in these types, which not every processor's onnxruntime computes
    for dtype, opset in (('float16', 17), ('bfloat16', 22), ('float64', 17)):
        numpy_type, data_type = widths[dtype]
        parts = Parts()
        chain(parts, lambda parts, name: parts.store(f'{name}.w', WEIGHTS[name].astype(numpy_type)), norm=False)
        made = model(parts, opset, data_type=data_type)
        # float64's rounded to float32 are those of float32
        key = dtype if dtype in expected['kernels'] else 'float32'
        save(f'{dtype}-through.onnx', made, key, dtype, norm=False, run=False)


# nodes between a constant and its convolution
def rearranged():
    def constant(parts, name):
        return parts.node('Constant', [], f'{name}.w', value=tensor('', FLOAT32[name]))

    def constant_floats(parts, name):
        flat = parts.node('Constant', [], f'{name}.flat', value_floats=FLOAT32[name].ravel().tolist())
        shape = parts.node('Constant', [], f'{name}.shape', value_ints=list(FLOAT32[name].shape))
        return parts.node('Reshape', [flat, shape], f'{name}.w')

    def transposed(parts, name):
        stored = parts.store(f'{name}.hwio', np.ascontiguousarray(FLOAT32[name].transpose(2, 3, 1, 0)))
        return parts.node('Transpose', [stored], f'{name}.w', perm=[3, 2, 0, 1])

    def reversed_axes(parts, name):
        return parts.node('Transpose', [parts.store(f'{name}.t', FLOAT32[name].T.copy())], f'{name}.w')

    def reshaped(parts, name):
        out, _, h, w = FLOAT32[name].shape
        flat = parts.store(f'{name}.flat', FLOAT32[name].reshape(out, -1))
        shape = parts.store(f'{name}.shape', np.int64([0, -1, h, w]))
        return parts.node('Reshape', [flat, shape], f'{name}.w')

    def squeezed(opset):
        def supply(parts, name):
            weights = FLOAT32[name]
            stored = parts.store(f'{name}.s', weights[None, ..., None] if name != 'wide' else weights[:, :, 0])
            operator, axes = ('Unsqueeze', [2]) if name == 'wide' else ('Squeeze', [0, -1] if opset >= 11 else [0, 5])
            if opset < 13:
                return parts.node(operator, [stored], f'{name}.w', axes=axes)
            return parts.node(operator, [stored, parts.store(f'{name}.axes', np.int64(axes))], f'{name}.w')

        return supply

    def long_way(parts, name):
        """HWIO, flat, in float64, through five nodes."""
        weights = FLOAT32[name]
        hwio = weights.transpose(2, 3, 1, 0)
        stored = parts.store(f'{name}.double', hwio.reshape(1, -1).astype(np.float64))
        value = parts.node('Identity', [stored], f'{name}.same')
        value = parts.node('Squeeze', [value, parts.store(f'{name}.axes', np.int64([0]))], f'{name}.flat')
        value = parts.node('Cast', [value], f'{name}.single', to=TensorProto.FLOAT)
        value = parts.node('Reshape', [value, parts.store(f'{name}.shape', np.int64(hwio.shape))], f'{name}.hwio')
        return parts.node('Transpose', [value], f'{name}.w', perm=[3, 2, 0, 1])

    write('constants.onnx', constant)
    write('constant-floats.onnx', constant_floats)
    write('identity.onnx', lambda parts, name: parts.node('Identity', [plain(parts, name)], f'{name}.same'))
    write('transpose.onnx', transposed)
    write('transpose-reversed.onnx', reversed_axes)
    write('reshape.onnx', reshaped)
    write('squeeze-opset9.onnx', squeezed(9), opset=9)
    write('squeeze-opset17.onnx', squeezed(17))
    write('long-way.onnx', long_way, dtype='float64')

    # one tensor, two convolutions: by its name, and by way of an Identity and a Reshape
    parts = Parts()
    chain(parts, plain)
    parts.node('Identity', ['wide.w'], 'wide.same')
    parts.node('Conv', ['up_y', 'wide.w'], 'again')
    parts.node('Conv', ['up_y', 'wide.same'], 'and_again')
    shape = parts.store('wide.shape', np.int64([3, 4, 1, 7]))
    parts.node('Reshape', ['wide.same', shape], 'wide.reshaped')
    parts.node('Conv', ['up_y', 'wide.reshaped'], 'once_more')
    parts.nodes += [helper.make_node('Mean', ['y', 'again', 'and_again', 'once_more'], ['mean'])]
    save('shared.onnx', model(parts, output='mean'), 'float32', 'float32')


def external():
    parts = Parts()
    chain(parts, plain)
    for folder, options in {
        'one-file': {'location': 'weights.bin'},
        'many-files': {'all_tensors_to_one_file': False},
    }.items():
        path = OUT / folder / 'model.onnx'
        path.parent.mkdir(parents=True)
        onnx.save_model(model(parts), path, save_as_external_data=True, size_threshold=0, **options)
        expected['files'][f'{folder}/model.onnx'] = {'kernels': 'float32', 'dtype': 'float32'}
    path = OUT / 'one-file' / 'constants.onnx'
    parts = Parts()
    chain(parts, lambda parts, name: parts.node('Constant', [], f'{name}.w', value=tensor(f'{name}.w', FLOAT32[name])))
    onnx.save_model(
        *(model(parts), path),
        **{'save_as_external_data': True, 'size_threshold': 0, 'location': 'constants.bin', 'convert_attribute': True},
    )
    expected['files']['one-file/constants.onnx'] = {'kernels': 'float32', 'dtype': 'float32'}


def inner_supply(parts, name):
    """In a body: weights of its own as initializers and as Constants, and those of the graph around it."""
    if name in ('stem', 'up'):
        return parts.store(f'{name}.w', FLOAT32[name])
    if name == 'depthwise':
        return parts.node('Constant', [], f'{name}.w', value=tensor('', FLOAT32[name]))
    return parts.store(f'{name}.w', FLOAT32[name], outer=True)


def subgraphs():
    value = helper.make_tensor_value_info

    def body(name, inputs, outputs, before=(), after=()):
        parts = Parts()
        parts.nodes += before
        chain(parts, inner_supply)
        parts.nodes += after
        return helper.make_graph(parts.nodes, name, inputs, outputs, parts.initializers), parts.outer

    then, outer = body('then', [], [value('y', TensorProto.FLOAT, RESULT)])
    other = Parts()  # another use of weights from outside, and no use of them
    other.node('Conv', ['image', 'outside'], 'z')
    other.node('Identity', ['outside'], 'unused')
    outside = tensor('outside', np.ones((3, 4, 7, 9), np.float32))
    otherwise = helper.make_graph(other.nodes, 'otherwise', [], [value('z', TensorProto.FLOAT, RESULT)])
    parts = Parts()
    parts.outer = outer
    parts.initializers = [outside, tensor('condition', np.bool_(True))]
    parts.nodes += [
        helper.make_node('If', ['condition'], ['y'], name='if', then_branch=then, else_branch=otherwise)
    ]
    save('if.onnx', model(parts), 'float32', 'float32', also=[[3, 4, 7, 9]])

    # the body of a loop inside the branch of an If: two scopes out
    loop_body, outer = body(
        'body',
        [value('i', TensorProto.INT64, []), value('go', TensorProto.BOOL, [])],
        [value('go_on', TensorProto.BOOL, []), value('y', TensorProto.FLOAT, RESULT)],
        after=[helper.make_node('Identity', ['go'], ['go_on'])],
    )
    loop = helper.make_node('Loop', ['trips', 'condition'], ['ys'], name='loop', body=loop_body)
    parts = Parts()
    parts.outer = outer
    parts.initializers = [tensor('trips', np.int64(1)), tensor('condition', np.bool_(True))]
    parts.nodes = [loop]
    save('loop.onnx', model(parts, output='ys', result=[None, *RESULT]), 'float32', 'float32')

    result = value('ys', TensorProto.FLOAT, [None, *RESULT])
    empty = helper.make_graph(
        [helper.make_node('Unsqueeze', ['image', 'axis'], ['none'])],
        *('otherwise', [], [value('none', TensorProto.FLOAT, [None] * 5)]),
    )
    parts.initializers += [tensor('axis', np.int64([0]))]
    parts.nodes = [
        helper.make_node(
            *('If', ['condition'], ['ys']),
            then_branch=helper.make_graph([loop], 'then', [], [result]),
            else_branch=empty,
        )
    ]
    save('if-loop.onnx', model(parts, output='ys', result=[None] * 5), 'float32', 'float32')

    scan_body, outer = body(
        'body', [value('image', TensorProto.FLOAT, IMAGE)], [value('y', TensorProto.FLOAT, RESULT)]
    )
    parts = Parts()
    parts.outer = outer
    parts.store('axis', np.int64([0]))
    parts.node('Unsqueeze', ['image', 'axis'], 'images')
    parts.nodes += [helper.make_node('Scan', ['images'], ['ys'], name='scan', body=scan_body, num_scan_inputs=1)]
    save('scan.onnx', model(parts, output='ys', result=[1, *RESULT]), 'float32', 'float32')


def functions():
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid('local', 1)]

    def function(name, inputs, nodes, attributes=(), **defaults):
        made = [helper.make_attribute(key, value) for key, value in defaults.items()]
        return helper.make_function('local', name, inputs, ['y'], nodes, opsets, attributes, made)

    def by_reference(operator, name):
        """A convolution whose groups are an attribute of the function."""
        made = helper.make_node(operator, ['x', 'w'], ['y'], name=name)
        for key, kind in (('group', onnx.AttributeProto.INT), ('strides', onnx.AttributeProto.INTS)):
            made.attribute.append(onnx.AttributeProto(name=key, ref_attr_name=f'{key}_', type=kind))
        return made

    attributes = ['group_', 'strides_']
    call_again = helper.make_node('Block', ['x', 'v'], ['y'], domain='local')
    for key, kind in (('group_', onnx.AttributeProto.INT), ('strides_', onnx.AttributeProto.INTS)):
        call_again.attribute.append(onnx.AttributeProto(name=key, ref_attr_name=key, type=kind))
    constant = helper.make_node('Constant', [], ['w'], value=tensor('', FLOAT32['wide']))
    parts = Parts()
    parts.functions = [
        function('Block', ['x', 'w'], [by_reference('Conv', 'conv')], attributes),
        function('Deep', ['x', 'w'], [by_reference('Conv', 'conv')], group_=6, strides_=[1, 1]),
        function('Up', ['x', 'w'], [by_reference('ConvTranspose', 'conv')], attributes),
        # weights on their way through two calls, the inner one under another name
        function('Turned', ['x', 'w'], [helper.make_node('Transpose', ['w'], ['v']), call_again], attributes),
        function('Wide', ['x'], [constant, helper.make_node('Conv', ['x', 'w'], ['y'], name='conv')]),
    ]

    def call(operator, name, inputs, output, **attributes):
        parts.nodes.append(helper.make_node(operator, inputs, [output], name=name, domain='local', **attributes))

    once = {'group_': 1, 'strides_': [1, 1]}
    call('Block', 'stem', ['image', parts.store('stem.w', FLOAT32['stem'])], 'stem_y', **once)
    normalised(parts, 'stem_y', 'norm')
    turned = parts.store('grouped.t', FLOAT32['grouped'].T.copy())
    call('Turned', 'grouped', ['norm', turned], 'grouped_y', group_=2, strides_=[1, 1])
    weights = parts.node('Constant', [], 'depthwise.w', value=tensor('', FLOAT32['depthwise']))
    call('Deep', 'depthwise', ['grouped_y', weights], 'depthwise_y')
    call('Up', 'up', ['depthwise_y', parts.store('up.w', FLOAT32['up'])], 'up_y', group_=2, strides_=[2, 2])
    call('Wide', 'wide', ['up_y'], 'y')
    call('Wide', 'again', ['up_y'], 'z')  # the same Constant
    parts.nodes += [helper.make_node('Mean', ['y', 'z'], ['mean'])]
    # the convolution before the normalisation is inside a function, the normalisation is not
    save('functions.onnx', model(parts, output='mean'), 'float32', 'float32')

    # a function for each layer, the way PyTorch exports modules as functions; the last one holds them all
    names = list(NORM)
    norm = helper.make_node('BatchNormalization', ['x', *names], ['y'], name='norm', epsilon=EPSILON)
    inner = [helper.make_node('Stem', ['x', 'w'], ['h'], domain='local')]
    inner += [helper.make_node('Norm', ['h', *names], ['y'], domain='local')]
    parts = Parts()
    parts.functions = [
        function('Stem', ['x', 'w'], [helper.make_node('Conv', ['x', 'w'], ['y'], name='conv')]),
        function('Norm', ['x', *names], [norm]),
        function('Both', ['x', 'w', *names], inner),
    ]
    stored = [parts.store(key, array) for key, array in NORM.items()]
    call('Both', 'both', ['image', parts.store('stem.w', FLOAT32['stem'])] + stored, 'norm')
    rest = {name: layer for name, layer in LAYERS.items() if name != 'stem'}
    chain(parts, plain, 'norm', layers=rest)
    save('modules.onnx', model(parts), 'float32', 'float32')


def quantise(weights, levels, axis=None, block=None, zero=True):
    """(q, scale, zero point, dequantised by the formula of DequantizeLinear in float32)"""
    low_level, high_level = levels
    if block:
        pad = -weights.shape[axis] % block
        padded = np.pad(weights, [(0, pad if a == axis else 0) for a in range(weights.ndim)])
        shape = list(padded.shape)
        shape[axis : axis + 1] = [shape[axis] // block, block]
        grouped, reduced = padded.reshape(shape), (axis + 1,)
    else:
        grouped, reduced = weights, tuple(a for a in range(weights.ndim) if a != axis)
    low = np.minimum(grouped.min(reduced), 0)
    high = np.maximum(grouped.max(reduced), 0)
    if zero:
        scale = ((high - low) / (high_level - low_level)).astype(np.float32)
        point = np.clip(np.rint(low_level - low / scale), low_level, high_level).astype(np.int64)
    else:
        scale = (np.maximum(-low, high) / high_level).astype(np.float32)
        point = np.zeros(scale.shape, np.int64)
    if block:
        wide = [np.repeat(a, block, axis).take(range(weights.shape[axis]), axis) for a in (scale, point)]
    else:
        expand = [1] * weights.ndim
        if axis is not None:
            expand[axis] = -1
        wide = [scale.reshape(expand), point.reshape(expand)]
    q = np.clip(np.rint(weights / wide[0]) + wide[1], low_level, high_level).astype(np.int64)
    return q, scale, point, (q - wide[1]).astype(np.float32) * wide[0]


def note(file, values, scales, dtype, **more):
    """Kernels of a quantised file, beside how far they may be from the original ones."""
    key = put(file.removesuffix('.onnx'), values)
    steps = {name: float(str(np.float32(np.max(scale)))) for name, scale in scales.items()}
    return {'kernels': key, 'dtype': dtype, 'original': 'float32', 'steps': steps, **more}


LEVELS = {
    'int8': (TensorProto.INT8, (-128, 127)),
    'uint8': (TensorProto.UINT8, (0, 255)),
    'int16': (TensorProto.INT16, (-32768, 32767)),
    'uint16': (TensorProto.UINT16, (0, 65535)),
    'int4': (TensorProto.INT4, (-8, 7)),
    'uint4': (TensorProto.UINT4, (0, 15)),
}


def dequantised():
    def variant(file, dtype, opset, axis=lambda name: None, block=None, zero=True, raw=True):
        values, scales = {}, {}
        data_type, levels = LEVELS[dtype]

        def supply(parts, name):
            along = axis(name)
            q, scale, point, values[name] = quantise(FLOAT32[name], levels, along, block, zero)
            scales[name] = scale
            inputs = [parts.store(f'{name}.q', q, data_type, raw), parts.store(f'{name}.scale', scale)]
            if zero:
                inputs.append(parts.store(f'{name}.zero', point, data_type, raw))
            attributes = {**({} if along is None else {'axis': along}), **({'block_size': block} if block else {})}
            return parts.node('DequantizeLinear', inputs, f'{name}.w', **attributes)

        parts = Parts()
        chain(parts, supply)
        save(file, model(parts, opset), **note(file, values, scales, dtype))

    out_axis = lambda name: 1 if name == 'up' else 0
    variant('dequantize-int8.onnx', 'int8', 10)
    variant('dequantize-int8-typed.onnx', 'int8', 13, raw=False)
    variant('dequantize-uint8.onnx', 'uint8', 17)
    variant('dequantize-no-zero.onnx', 'int8', 17, zero=False)
    variant('dequantize-axis.onnx', 'int8', 13, out_axis)
    variant('dequantize-axis-uint8.onnx', 'uint8', 21, lambda name: out_axis(name) - 4)
    variant('dequantize-axis3.onnx', 'int8', 13, lambda name: 3)
    variant('dequantize-int16.onnx', 'int16', 21, out_axis)
    variant('dequantize-uint16.onnx', 'uint16', 21)
    variant('dequantize-int4.onnx', 'int4', 21, out_axis)
    variant('dequantize-uint4-typed.onnx', 'uint4', 21, raw=False)
    variant('dequantize-blocks.onnx', 'int8', 21, lambda name: 1, block=2)
    variant('dequantize-blocks-int4.onnx', 'int4', 23, lambda name: 0, block=4)

    # scales along an axis that a Transpose moves
    values, scales = {}, {}

    def turned(parts, name):
        hwio = FLOAT32[name].transpose(2, 3, 1, 0)
        q, scale, point, back = quantise(hwio, LEVELS['int8'][1], 3)
        values[name], scales[name] = back.transpose(3, 2, 0, 1), scale
        inputs = [parts.store(f'{name}.{key}', a, TensorProto.INT8) for key, a in (('q', q), ('zero', point))]
        inputs.insert(1, parts.store(f'{name}.scale', scale))
        hwio = parts.node('DequantizeLinear', inputs, f'{name}.hwio', axis=3)
        return parts.node('Transpose', [hwio], f'{name}.w', perm=[3, 2, 0, 1])

    parts = Parts()
    chain(parts, turned)
    file = 'dequantize-transpose.onnx'
    save(file, model(parts), **note(file, values, scales, 'int8'))

    # floats that are quantised where they are used, as networks are exported that were trained for it
    values, scales = {}, {}

    def there_and_back(parts, name):
        axis = out_axis(name)
        _, scale, point, values[name] = quantise(FLOAT32[name], LEVELS['int8'][1], axis)
        scales[name] = scale
        grid = [parts.store(f'{name}.scale', scale), parts.store(f'{name}.zero', point, TensorProto.INT8)]
        q = parts.node('QuantizeLinear', [plain(parts, name), *grid], f'{name}.q', axis=axis)
        return parts.node('DequantizeLinear', [q, *grid], f'{name}.dq', axis=axis)

    parts = Parts()
    chain(parts, there_and_back)
    file = 'quantize-dequantize.onnx'
    save(file, model(parts), **note(file, values, scales, 'int8'))


class Images(quantization.CalibrationDataReader):
    def __init__(self, image):
        self.images = iter([{'image': image * scale} for scale in (1, -1, 0.5)])

    def get_next(self):
        return next(self.images, None)


def by_onnxruntime(image):
    """What onnxruntime's own quantisation makes of the network."""

    def read_back(path):
        """Kernels, scales and dtypes of weights by layer, as onnxruntime stores them."""
        stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
        values, scales, dtypes = {}, {}, {}
        for name, (operator, _, shape, _) in LAYERS.items():
            if f'{name}.w_quantized' not in stored:
                values[name], scales[name], dtypes[name] = stored[f'{name}.w'], np.float32(0), 'float32'
                continue
            q, scale, point = (stored[f'{name}.w_{key}'] for key in ('quantized', 'scale', 'zero_point'))
            dtypes[name] = str(q.dtype)
            expand = [1] * 4
            if scale.size > 1:
                expand[1 if operator == 'ConvTranspose' else 0] = -1
            wide, zero = scale.reshape(expand), point.astype(np.int64).reshape(expand)
            values[name], scales[name] = (q.astype(np.int64) - zero).astype(np.float32) * wide, scale
        return values, scales, dtypes

    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / 'float.onnx'
        parts = Parts()
        chain(parts, plain, norm=False)
        onnx.save_model(model(parts), source)
        types = quantization.QuantType
        unsigned = {'activation_type': types.QUInt8}
        channels = {'weight_type': types.QInt8, 'per_channel': True}
        QDQ, QOPERATOR = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator
        for file, kind, options in (
            ('static-qdq.onnx', QDQ, {'weight_type': types.QInt8}),
            ('static-qdq-channels.onnx', QDQ, channels),
            ('static-qoperator.onnx', QOPERATOR, {**unsigned, 'weight_type': types.QUInt8}),
            ('static-qoperator-channels.onnx', QOPERATOR, {**unsigned, **channels}),
            ('dynamic.onnx', None, {'weight_type': types.QUInt8}),
            ('dynamic-channels.onnx', None, channels),
        ):
            path = pathlib.Path(folder) / file
            if kind is None:
                quantization.quantize_dynamic(source, path, op_types_to_quantize=['Conv', 'ConvTranspose'], **options)
            else:
                quantization.quantize_static(source, path, Images(image), quant_format=kind, **options)
            values, scales, dtypes = read_back(path)
            more = {'norm': False, 'dtypes': {k: v for k, v in dtypes.items() if v == 'float32'}}
            [dtype] = set(dtypes.values()) - {'float32'}
            # five layers' activations of 8 bits
            save(file, onnx.load(path), **note(file, values, scales, dtype, **more, tolerance=0.03))


def folded():
    """A BatchNormalization after each layer; kernels times gamma / sqrt(variance + epsilon)."""
    parts = Parts()
    value, wanted = 'image', {}
    for name, (operator, group, shape, attributes) in LAYERS.items():
        weights = parts.store(f'{name}.w', FLOAT32[name])
        value = parts.node(operator, [value, weights], f'{name}_raw', group=group, **attributes)
        outputs = group * shape[1] if operator == 'ConvTranspose' else shape[0]
        value = normalised(parts, value, f'{name}_y', outputs)
        factor = NORM['gamma'].astype(np.float64) / np.sqrt(NORM['variance'].astype(np.float64) + EPSILON)
        factor = factor[:outputs]
        if operator == 'ConvTranspose':
            factor = np.repeat(factor.reshape(group, 1, -1), shape[0] // group, 1).reshape(shape[0], -1, 1, 1)
        else:
            factor = factor.reshape(-1, 1, 1, 1)
        wanted[name] = WEIGHTS[name].astype(np.float32) * factor
    put('folded', wanted)
    save('norms.onnx', model(parts, output=value), 'float32', 'float32', norm='each', folded='folded')


def left_out():
    """Weights that are not read; each node is called after the reason."""
    parts = Parts()
    weights = FLOAT32['wide']
    flat = np.where(np.abs(weights) > 1 / 8, weights, 0).ravel()
    indices = np.flatnonzero(flat)
    sparse = helper.make_sparse_tensor(tensor('sparse.w', flat[indices]), tensor('', indices), weights.shape)
    eighth = parts.store('float8.q', weights, TensorProto.FLOAT8E4M3FN)
    scale = parts.store('one', np.float32(1))
    parts.node('DequantizeLinear', [eighth, scale], 'float8.w')
    parts.node('RandomNormal', [], 'random.w', shape=weights.shape)
    parts.node('ConstantOfShape', [parts.store('shape', np.int64(weights.shape))], 'filled.w')
    parts.node('Mul', [parts.store('product.v', weights), scale], 'product.w')
    names = ['sparse', 'float8', 'random', 'filled', 'product', 'input']
    for name in names:
        parts.nodes.append(helper.make_node('Conv', ['image', f'{name}.w'], [f'{name}.y'], name=name))
    parts.node('Mean', [f'{name}.y' for name in names], 'mean')
    given = helper.make_tensor_value_info('input.w', TensorProto.FLOAT, weights.shape)
    made = model(parts, 21, 'mean', [1, 3, 9, 6], inputs=[given], check=False)
    made.graph.sparse_initializer.append(sparse)
    onnx.checker.check_model(made)
    onnx.save_model(made, OUT / 'left-out.onnx')


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    image = random.normal(size=IMAGE).astype(np.float32)
    expected['image'] = encoded(image)
    expected['norm'] = {**{key: encoded(array) for key, array in NORM.items()}, 'epsilon': EPSILON}
    floats()
    rearranged()
    external()
    subgraphs()
    functions()
    dequantised()
    by_onnxruntime(image)
    folded()
    left_out()
    (OUT / 'expected.json').write_text(json.dumps(expected, separators=(',', ':')) + '\n')
    print(sum(file.stat().st_size for file in OUT.rglob('*') if file.is_file()), 'bytes')


main()
