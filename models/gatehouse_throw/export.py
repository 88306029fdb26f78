"""From a checkpoint to the file a gateway runs: ONNX, heat through its sigmoid, and int8 where it wins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gatehouse_edge.vision.stack import LAYERS, TILE_PX
from gatehouse_throw.net import TileNet, mix_of

if TYPE_CHECKING:
    import onnx

CALIBRATION_BATCH: Final = 32
_MOST: Final = 127
"""Largest weight in eight bits."""


class _Released(nn.Module):
    """What is released: takes bytes, gives probabilities."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        heat, boxes = self.net(tiles)
        return torch.sigmoid(heat), boxes


def load(checkpoint: Path) -> TileNet:
    """Return the trained network."""
    net = TileNet()
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["net"])
    return net.eval()


def export(net: nn.Module, path: Path, *, size: tuple[int, int] | None = None) -> None:
    """Write the ONNX file: input `tiles` uint8 (n, 6, 64, 64), or pictures of `size` (height, width); outputs `heat` and `boxes`."""
    example = torch.zeros(2, LAYERS, *(size or (TILE_PX, TILE_PX)), dtype=torch.uint8)
    plain = net.folded() if isinstance(net, TileNet) else net
    torch.onnx.export(
        _Released(plain).eval(),
        (example,),
        str(path),
        input_names=["tiles"],
        output_names=["heat", "boxes"],
        dynamic_axes={"tiles": {0: "n"}, "heat": {0: "n"}, "boxes": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )


def parity(net: TileNet, path: Path, tiles: npt.NDArray[np.uint8]) -> float:
    """Return the largest difference of any output between torch and onnxruntime on `tiles`."""
    import onnxruntime

    with torch.no_grad():
        heat, boxes = _Released(net)(torch.from_numpy(tiles))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    told = session.run(None, {"tiles": tiles})
    return float(max(np.abs(told[0] - heat.numpy()).max(), np.abs(told[1] - boxes.numpy()).max()))


def quantise(path: Path, out: Path, samples: npt.NDArray[np.uint8]) -> None:
    """Write an int8 copy, calibrated on `samples` (n, LAYERS, 64, 64), n at least `CALIBRATION_BATCH`.

    The last convolution stays in float, the first works on the bytes themselves (`_first_on_bytes`), and a ten-thousandth of each layer's
    values is cut off: scaled to the largest of all, ordinary ones have too few steps left (average precision 0.830 instead of 0.846 on the same tiles).

    Sums and rectifiers are integers as well. With convolutions alone each one's output was rounded before its rectifier, over a range of which half was cut off
    at once: twice the error, and a tenth more time for going to float and back (decision 57).
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped library
        def __init__(self) -> None:
            count = len(samples) // CALIBRATION_BATCH  # the library wants batches of one size
            self._batches = iter(np.split(samples[: count * CALIBRATION_BATCH], count))

        def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"tiles": batch}

    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
    quantize_static(
        str(prepared), str(out), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Relu", "Add"],
        nodes_to_exclude=[convolutions[0], convolutions[-1]], calibrate_method=CalibrationMethod.Percentile,
        extra_options={"CalibPercentile": 99.99},
    )  # fmt: skip
    prepared.unlink()
    model = onnx.load(out)
    _first_on_bytes(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, out)


def _first_on_bytes(graph: onnx.GraphProto) -> None:
    """Put an integer convolution over bytes in the place of the cast to float and the first convolution.

    It costs half of the float one, which took half of the network's time. Its weights are rounded as weights of differences and then
    added up over the frames: what stands still cancels to the last bit, however bright it is, where weights rounded one by one would leave
    a pattern as strong as a faint thing. Four pixels become layers first: onnxruntime is quick with 3x3 over 24 layers, not with 6x6 over 6.
    """
    from onnx import helper, numpy_helper

    cast, conv = (next(node for node in graph.node if node.op_type == kind) for kind in ("Cast", "Conv"))
    held = {one.name: one for one in graph.initializer}
    weights, bias = (numpy_helper.to_array(held[name]).astype(np.float64) for name in conv.input[1:])
    whole, scales = _whole_weights(weights)
    count, layers, height, width = whole.shape
    folded = whole.reshape(count, layers, height // 2, 2, width // 2, 2).transpose(0, 3, 5, 1, 2, 4)

    def constant(name: str, values: npt.NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    one, nought = (
        constant("bytes.scale", np.array(1, np.float32)),
        constant("bytes.zero", np.array(0, np.uint8)),
    )
    scale = constant("first.scale", scales.astype(np.float32))
    parts = [
        constant("first.weights", folded.reshape(count, 4 * layers, height // 2, width // 2).astype(np.int8)),
        constant("first.weights.zero", np.zeros(count, np.int8)),
        constant("first.bias", np.round(bias / scales).astype(np.int32)),
        constant("first.bias.zero", np.zeros(count, np.int32)),
    ]
    make = helper.make_node
    instead = [
        make("SpaceToDepth", list(cast.input), ["bytes.folded"], blocksize=2),
        make("DequantizeLinear", ["bytes.folded", one, nought], ["bytes.float"]),
        make("DequantizeLinear", [parts[0], scale, parts[1]], ["first.w"], axis=0),
        make("DequantizeLinear", [parts[2], scale, parts[3]], ["first.b"], axis=0),
        make(
            "Conv",
            ["bytes.float", "first.w", "first.b"],
            list(conv.output),
            kernel_shape=[3, 3],
            pads=[1] * 4,
        ),
    ]
    nodes = [node for node in graph.node if node != cast]
    place = nodes.index(conv)
    del graph.node[:]
    graph.node.extend([*nodes[:place], *instead, *nodes[place + 1 :]])
    for name in conv.input[1:]:
        graph.initializer.remove(held[name])


def _whole_weights(
    weights: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return weights (outputs, LAYERS, h, w) as whole numbers within -127 to 127 and the scale of each output.

    They are sums of whole weights of the rows of `net.mix_of`, so that all but the background's own row cancel where the layers are alike.
    """
    mix = mix_of(range(weights.shape[1])).numpy().astype(np.float64)
    of_rows = np.einsum("ojkl,ji->oikl", weights, np.linalg.inv(mix))
    units = np.abs(mix).max(axis=1)
    rows = np.round(mix / units[:, None])
    scales = np.abs(weights).max(axis=(1, 2, 3)) / _MOST
    while True:
        whole = np.einsum(
            "oikl,ij->ojkl", np.round(of_rows * units[:, None, None] / scales[:, None, None, None]), rows
        )
        is_over = np.abs(whole).max(axis=(1, 2, 3)) > _MOST
        if not is_over.any():
            return whole.astype(np.int64), scales
        scales = np.where(is_over, 1.005 * scales, scales)
