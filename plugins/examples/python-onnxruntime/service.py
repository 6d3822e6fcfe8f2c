"""The calls of the protocol, on ONNX Runtime."""
import functools
import inspect
import itertools
import logging
import platform
import sys
import threading

import grpc
import numpy as np
import onnxruntime as ort

import regions
import translate
from errors import Failure, invalid, misfit, unsupported
from objects import Objects, turns
from resnet.backend.v1 import backend_pb2 as pb, backend_pb2_grpc

NAME, VERSION = "python-onnxruntime", "0.1.0"
CHUNK = 1 << 20
DEVICE = pb.DeviceInfo(
    backend=NAME, id="cpu", name="ONNX Runtime on the CPU", type=pb.DEVICE_TYPE_CPU, driver=f"ONNX Runtime {ort.__version__}",
    api=f"ONNX opset {translate.OPSET}", properties={"python": platform.python_version(), "machine": platform.machine()})


class Device:
    pass


class Buffer:
    def __init__(self, kind):
        self.kind = kind
        try:
            self.bytes = np.empty(translate.size(kind), np.uint8)
        except (MemoryError, ValueError) as err:
            raise Failure(pb.ERROR_KIND_OUT_OF_MEMORY, f"create buffer: {err}") from err

    def floats(self):
        return self.bytes.view(np.float32).reshape(self.kind.shape)


class Executable:
    def __init__(self, graph, known, data):
        self.inputs = list(graph.inputs)
        self.outputs = [pb.Value(name=name, type=known[name]) for name in graph.outputs]
        self.session = None
        if any(translate.size(v.type) for v in self.outputs):
            options = ort.SessionOptions()
            options.log_severity_level = 3
            try:
                self.session = ort.InferenceSession(translate.model(graph, known, data), options, providers=["CPUExecutionProvider"])
            except Failure:
                raise
            except Exception as err:  # ONNX Runtime has a dozen kinds
                raise Failure(None, f"compile: ONNX Runtime: {err}") from err

    def run(self, context, inputs, outputs):
        if self.session is None:
            return  # no output has an element
        options = ort.RunOptions()
        if not context.add_callback(lambda: setattr(options, "terminate", True)):  # called at the end of the call, for whatever reason
            raise Failure(pb.ERROR_KIND_CANCELLED, "run: cancelled")
        wanted = {i.name for i in self.session.get_inputs()}
        feeds = {"value:" + v.name: b.floats() for v, b in zip(self.inputs, inputs) if "value:" + v.name in wanted}
        names = [o.name for o in self.session.get_outputs()]
        try:
            results = self.session.run(names, feeds, options)
        except Exception as err:  # as above
            if not context.is_active():
                raise Failure(pb.ERROR_KIND_CANCELLED, "run: cancelled") from err
            raise Failure(None, f"run: ONNX Runtime: {err}") from err
        for name, result in zip(names, results):
            np.copyto(outputs[int(name.removeprefix("output:"))].floats(), result)


def answers(call):
    """Makes what a call raises the answer of the protocol."""
    def failed(err, context):
        if isinstance(err, grpc.RpcError):  # of the stream: the host has ended the call
            err = Failure(pb.ERROR_KIND_CANCELLED, f"{call.__name__}: the call has ended")
        elif not isinstance(err, Failure):
            logging.exception("bug in the plugin")
            err = Failure(None, f"{call.__name__}: {type(err).__name__}: {err}")
        err.abort(context)

    @functools.wraps(call)
    def one(self, request, context):
        try:
            return call(self, request, context)
        except Exception as err:
            failed(err, context)

    @functools.wraps(call)
    def many(self, request, context):
        try:
            yield from call(self, request, context)
        except Exception as err:
            failed(err, context)

    return many if inspect.isgeneratorfunction(call) else one


class Service(backend_pb2_grpc.BackendServicer):
    def __init__(self):
        self.objects = Objects()
        self.session = threading.Lock()
        self.host = threading.Event()  # set when it has come
        self.gone = threading.Event()  # set when it is gone

    @answers
    def Describe(self, request, context):
        return pb.DescribeResponse(name=NAME, version=VERSION, capabilities=pb.PluginCapabilities(shared_memory=sys.platform == "linux"))

    @answers
    def Session(self, request, context):
        if not self.session.acquire(blocking=False):
            raise invalid("session: want one in the life of a plugin, got a second")
        self.host.set()
        if not context.add_callback(self.gone.set):
            self.gone.set()
        yield pb.SessionEvent()
        self.gone.wait()

    @answers
    def ListDevices(self, request, context):
        return pb.ListDevicesResponse(devices=[DEVICE])

    @answers
    def OpenDevice(self, request, context):
        with self.objects.make(request.device) as put:
            if request.device_id != DEVICE.id:
                raise Failure(pb.ERROR_KIND_NO_DEVICE, f"open device {request.device_id!r}: no device of that ID")
            put(Device())
        return pb.OpenDeviceResponse(info=DEVICE)

    @answers
    def Supports(self, request, context):
        if len(request.nodes) > 256:
            raise invalid(f"supports: want at most 256 nodes, got {len(request.nodes)}")
        response = pb.SupportsResponse()
        with self.objects.use(Device, request.device):
            for n in request.nodes:
                try:
                    translate.refuse(n.name, n.op, [i.value.type for i in n.inputs], n.result)
                    response.answers.add()
                except Failure as err:
                    err.kind = pb.ERROR_KIND_UNSUPPORTED
                    response.answers.append(err.message())
        return response

    @answers
    def Compile(self, requests, context):
        start = next(requests, None)
        if start is None or start.WhichOneof("part") != "start":
            raise invalid("compile: want the start first")
        with self.objects.use(Device, start.start.device):
            with self.objects.make(start.start.executable, start.start.device) as put:
                executable = Executable(*receive(requests))
                put(executable)
        return pb.CompileResponse(inputs=executable.inputs, outputs=executable.outputs)

    @answers
    def CreateBuffer(self, request, context):
        with self.objects.use(Device, request.device), self.objects.make(request.buffer, request.device) as put:
            put(Buffer(request.type))
        return pb.CreateBufferResponse()

    @answers
    def WriteBuffer(self, requests, context):
        start = next(requests, None)
        if start is None or start.WhichOneof("part") != "start":
            raise invalid("write buffer: want the start first")
        start = start.start
        with self.objects.use(Buffer, start.buffer) as (item,), turns({start.buffer: item}, context):
            buffer = item.value
            if start.HasField("shared"):
                if next(requests, None) is not None:
                    raise invalid("write buffer: want no chunk after a range of shared memory")
                with self.range(start.shared, buffer) as memory:
                    buffer.bytes[:] = np.frombuffer(memory, np.uint8)
                return pb.WriteBufferResponse()
            data = bytearray()
            for part in requests:
                if part.WhichOneof("part") != "chunk" or not 1 <= len(part.chunk) <= min(CHUNK, len(buffer.bytes) - len(data)):
                    raise invalid(f"write buffer: want chunks of 1 to {CHUNK} bytes and {len(buffer.bytes)} in all")
                data += part.chunk
            if len(data) != len(buffer.bytes):
                raise misfit("data", f"{len(buffer.bytes)} bytes", len(data))
            buffer.bytes[:] = np.frombuffer(data, np.uint8)  # all of it, or none
        return pb.WriteBufferResponse()

    @answers
    def ReadBuffer(self, request, context):
        with self.objects.use(Buffer, request.buffer) as (item,):
            with turns({request.buffer: item}, context):
                if request.HasField("shared"):
                    with self.range(request.shared, item.value) as memory:
                        np.frombuffer(memory, np.uint8)[:] = item.value.bytes
                    return
                data = item.value.bytes.tobytes()
        for begin in range(0, len(data), CHUNK):
            yield pb.ReadBufferResponse(chunk=data[begin : begin + CHUNK])

    @answers
    def Run(self, request, context):
        ids = [*request.inputs, *request.outputs]
        if len(set(request.outputs)) != len(request.outputs) or set(request.inputs) & set(request.outputs):
            raise invalid("run: want each output once, and not among the inputs")
        with self.objects.use(Executable, request.executable) as (item,), self.objects.use(Buffer, *ids) as found:
            executable = item.value
            for what, given, ports in (("input", request.inputs, executable.inputs), ("output", request.outputs, executable.outputs)):
                if len(given) != len(ports):
                    raise misfit(what + "s", f"{len(ports)} buffers", len(given))
            device = {b.device for b in found} | {item.device}
            for port, buffer in zip([*executable.inputs, *executable.outputs], found):
                if buffer.value.kind != port.type or len(device) != 1:
                    raise misfit("buffer", f"{port.type} of the same device", buffer.value.kind, port.name)
            with turns(dict(zip(ids, found)), context):
                split = len(request.inputs)
                executable.run(context, [b.value for b in found[:split]], [b.value for b in found[split:]])
        return pb.RunResponse()

    @answers
    def Profile(self, request, context):
        raise unsupported("executable", "one with a profiler", "one without")
        yield

    @answers
    def OpenRegion(self, request, context):
        try:
            with self.objects.make(request.region) as put:
                put(regions.Region(request.path, request.size, request.nonce))
        except (OSError, ValueError) as err:
            return pb.OpenRegionResponse(reason=str(err))
        return pb.OpenRegionResponse(accepted=True)

    @answers
    def Close(self, request, context):
        self.objects.close(request.object)
        return pb.CloseResponse()

    def range(self, shared, buffer):
        return Range(self.objects, shared, buffer)


class Range:
    """A part of a region, as a memoryview, while a with block lasts."""

    def __init__(self, objects, shared, buffer):
        if shared.length != len(buffer.bytes):
            raise misfit("shared memory", f"{len(buffer.bytes)} bytes", shared.length)
        self.use, self.shared = objects.use(regions.Region, shared.region), shared

    def __enter__(self):
        (item,) = self.use.__enter__()
        region, begin, end = item.value, self.shared.offset, self.shared.offset + self.shared.length
        if end > region.size:
            self.use.__exit__(None, None, None)
            raise invalid(f"shared memory: want a range within {region.size} bytes, got one that ends at {end}")
        self.view = memoryview(region.memory)[begin:end]
        return self.view

    def __exit__(self, *error):
        return self.use.__exit__(*error)


def receive(requests):
    """The graph of a Compile stream, the types of its values, and its parameters' data by name."""
    graph, total, known = pb.Graph(), 0, None
    data, order = {}, None

    def checked():
        return translate.values(graph), itertools.chain(p for p in graph.parameters if translate.size(p.type))

    parameter = None
    for message in requests:
        part = message.WhichOneof("part")
        if part == "graph" and known is None:
            total += message.graph.ByteSize()
            if total > 64 << 20:
                raise invalid("compile: want a graph of at most 64 MiB")
            graph.MergeFrom(message.graph)
            continue
        if part != "data":
            raise invalid("compile: want the graph, then its data")
        if known is None:
            known, order = checked()
        piece = message.data
        if parameter is None or len(data[parameter.name]) == translate.size(parameter.type):
            parameter = next(order, None)
            if parameter is None:
                raise invalid("compile: want no data after the last parameter's")
            data[parameter.name] = bytearray()
        got = data[parameter.name]
        index = piece.parameter
        if (index >= len(graph.parameters) or graph.parameters[index].name != parameter.name or piece.offset != len(got)
                or not 1 <= len(piece.data) <= min(CHUNK, translate.size(parameter.type) - len(got))):
            raise invalid(f"compile: parameter {parameter.name!r}: want its data at {len(got)}, got {len(piece.data)} bytes of parameter {index} at {piece.offset}")
        got += piece.data
    if known is None:
        known, order = checked()
    for p in graph.parameters:
        if len(data.setdefault(p.name, bytearray())) != translate.size(p.type):
            raise invalid(f"compile: parameter {p.name!r}: want {translate.size(p.type)} bytes, got {len(data[p.name])}")
    return graph, known, data
