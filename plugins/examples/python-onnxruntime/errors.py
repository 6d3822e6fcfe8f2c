"""The errors of the protocol: section 6 of docs/plugin-protocol.md."""
import grpc
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

from resnet.backend.v1 import backend_pb2 as pb

# Each kind with the gRPC code that stands for it.
CODES = {
    pb.ERROR_KIND_DEVICE_LOST: grpc.StatusCode.ABORTED,
    pb.ERROR_KIND_CLOSED: grpc.StatusCode.FAILED_PRECONDITION,
    pb.ERROR_KIND_OUT_OF_MEMORY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.ERROR_KIND_UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    pb.ERROR_KIND_NO_DEVICE: grpc.StatusCode.NOT_FOUND,
    pb.ERROR_KIND_CANCELLED: grpc.StatusCode.CANCELLED,
    pb.ERROR_KIND_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
}


class Failure(Exception):
    """An error that crosses the wire. kind None is an error of no kind: INTERNAL."""

    def __init__(self, kind, message, shape=None):
        super().__init__(message)
        self.kind, self.shape = kind, shape

    def message(self):
        """The answer of Supports."""
        return pb.Error(kinds=[] if self.kind is None else [self.kind], message=clip(str(self), 1024), shape=self.shape)

    def abort(self, context):
        """Ends a call with this error."""
        code = CODES.get(self.kind, grpc.StatusCode.INTERNAL)
        detail = any_pb2.Any()
        detail.Pack(pb.Error(kinds=[] if self.kind is None else [self.kind], shape=self.shape))
        status = status_pb2.Status(code=code.value[0], message=clip(str(self), 1024), details=[detail])
        context.abort_with_status(rpc_status.to_status(status))


def clip(text, limit):
    """At most limit bytes of UTF-8."""
    raw = text.encode("utf-8", "replace")
    return raw.decode() if len(raw) <= limit else raw[: limit - 3].decode("utf-8", "ignore") + "..."


def invalid(message):
    return Failure(pb.ERROR_KIND_INVALID, message)


def closed(message):
    return Failure(pb.ERROR_KIND_CLOSED, message)


def unsupported(attribute, want, got):
    return Failure(pb.ERROR_KIND_UNSUPPORTED, f"{attribute}: want {want}, got {got}: unsupported")


def misfit(attribute, want, got, node=""):
    """A ShapeError."""
    want, got = clip(str(want), 256), clip(str(got), 256)
    shape = pb.ShapeError(node=clip(node, 256), attribute=attribute, want=want, got=got)
    return Failure(pb.ERROR_KIND_INVALID, f"{node} {attribute}: want {want}, got {got}".strip(), shape)
