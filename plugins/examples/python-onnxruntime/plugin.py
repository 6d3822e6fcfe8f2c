"""A backend for resnet-run that runs graphs on ONNX Runtime: a plugin, written after docs/plugin-protocol.md and
backend.proto alone. This file is the process: handshake, mutual TLS, log, beginning and end. README.md says more.
"""
import base64
import datetime
import json
import logging
import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NAME = "python-onnxruntime"


def stop(text):
    sys.exit(f"{NAME}: {text}")


if os.environ.get("RESNET_RUN_PLUGIN") != "5d0f2c6e1b7a4893a1c4e07d36f28b95":
    stop(f"""this is a plugin of resnet-run, which starts it: it is not to be started by hand.
To use it: setup, as README.md says, then 'resnet-run plugins trust {NAME}' and 'resnet-run classify --backend {NAME} photo.jpg'.""")
if "1" not in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "1").split(","):
    stop(f"it speaks version 1 of the plugin protocol, the host only {os.environ['PLUGIN_PROTOCOL_VERSIONS']}")
packages = HERE / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
if not packages.is_dir() or not (HERE / "generated").is_dir():
    stop(f"{packages} or {HERE / 'generated'} is not there: run setup again")
sys.path[:0] = [str(HERE), str(HERE / "generated"), str(packages)]  # before what else this Python has

from concurrent import futures  # noqa: E402: only now can they be found

import grpc  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # noqa: E402

from resnet.backend.v1 import backend_pb2_grpc  # noqa: E402
from service import Service  # noqa: E402

SESSION_WAIT = 60  # seconds, for a host to begin its session


class Lines(logging.Formatter):
    """Lines as "Health and logs" of the page wants them."""

    def format(self, record):
        stamp = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        entry = {"@level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
                 "@message": record.getMessage()[:16384], "@timestamp": stamp}
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)[:16384]
        return json.dumps(entry)


def certificate():
    """A key and a certificate for this one run, in PEM, and the certificate in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, made.public_bytes(serialization.Encoding.PEM), made.public_bytes(serialization.Encoding.DER)


def listen(server):
    """Opens the socket and returns its path and what the handshake says of the certificate."""
    path = os.path.join(tempfile.mkdtemp(prefix="plugin", dir=os.environ.get("PLUGIN_UNIX_SOCKET_DIR")), "s")
    client = os.environ.get("PLUGIN_CLIENT_CERT")
    if client:
        key, pem, der = certificate()
        credentials = grpc.ssl_server_credentials([(key, pem)], root_certificates=client.encode(), require_client_auth=True)
        port, said = server.add_secure_port("unix:" + path, credentials), base64.b64encode(der).decode().rstrip("=")
    else:
        port, said = server.add_insecure_port("unix:" + path), ""
    if not port:
        stop(f"cannot listen on {path}")
    return path, said


def main():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG)
    # Each call has a thread, and calls wait for each other: for a buffer's turn, or for the end of what they close.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=256))
    service, healthy = Service(), health.HealthServicer()
    backend_pb2_grpc.add_BackendServicer_to_server(service, server)
    healthy.set("plugin", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)

    def shutdown(request, context):
        service.host.set()
        context.add_callback(service.gone.set)  # after the answer
        return b""  # a message without fields

    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        "plugin.GRPCController", {"Shutdown": grpc.unary_unary_rpc_method_handler(shutdown)})])
    path, said = listen(server)
    server.start()
    print(f"1|1|unix|{path}|grpc|{said}", flush=True)
    os.dup2(2, 1)  # what is printed from here on is log
    if service.host.wait(SESSION_WAIT):
        service.gone.wait()
    else:
        logging.warning("no host has begun a session: ending")
    server.stop(grace=None)
    for left in (path, os.path.dirname(path)):
        try:
            os.rmdir(left) if os.path.isdir(left) else os.remove(left)
        except OSError:
            pass  # the host clears its folder too
    os._exit(0)  # the memory is the kernel's work; a run in a thread must not keep the process


main()
