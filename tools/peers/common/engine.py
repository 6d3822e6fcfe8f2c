"""Runs a network with a peer, in the protocol of turns.py:

    python engine.py NAME PREFIX BATCH SIDE THREADS [GPU]

NAME is a key of ENGINES; PREFIX is that of the files that networks.py wrote. The input is that of `resnet-run bench`: every
picture of the batch is picture 0. Times are taken as there: with the input on the device where the engine allows it, until the
result can be read.
"""

import json
import os
import sys
import time

import numpy as np

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "golden", "ops"))  # last: it has a networks.py too
import seeded  # noqa: E402  the numbers of internal/seeded


def picture(side):
    return seeded.uniform(1, "picture 0", 3 * side * side, 1.0).reshape(3, side, side)


def onnxruntime_cpu(prefix, x, threads, gpu):
    import onnxruntime as ort

    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(prefix + ".onnx", o, providers=["CPUExecutionProvider"])
    return (lambda: session.run(None, {"input": x})[0]), f"ONNX Runtime {ort.__version__}"


def ncnn(half, vulkan):
    def prepare(prefix, x, threads, gpu):
        import ncnn as nc

        net = nc.Net()
        net.opt.num_threads = threads
        net.opt.use_vulkan_compute = vulkan
        if vulkan:
            if nc.get_gpu_count() <= gpu:
                sys.exit(f"ncnn sees {nc.get_gpu_count()} GPUs: want number {gpu}")
            net.set_vulkan_device(gpu)
        if not half:  # else what it does by default, which is half precision where the device has it
            net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
        if net.load_param(prefix + ".param") != 0 or net.load_model(prefix + ".bin") != 0:
            sys.exit("ncnn: the network was not read")
        pictures = [nc.Mat(p).clone() for p in x]

        def run():  # ncnn knows no batch: one picture after the other
            rows = []
            for p in pictures:
                e = net.create_extractor()
                if e.input("input", p) != 0:
                    sys.exit("ncnn: the input was refused")
                code, y = e.extract("output")
                if code != 0:
                    sys.exit(f"ncnn: extract returned {code}")
                rows.append(np.array(y))
            return np.stack(rows)

        about = f"ncnn {nc.__version__}"
        if vulkan:
            about += f" on {nc.get_gpu_info(gpu).device_name()}"
        return run, about

    return prepare


def torch_gpu(half, how):
    """PyTorch on CUDA with channels last: eager, replayed CUDA graphs, or torch.compile, which for "compile" tries all kernels and takes minutes, and for
    "reduce" replays CUDA graphs of what it makes and tries none."""

    def prepare(prefix, x, threads, gpu):
        import torch
        import torchvision

        if not torch.cuda.is_available():
            sys.exit("PyTorch: no CUDA device")
        torch.cuda.set_device(gpu)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        arch = os.path.basename(prefix).rsplit("-", 1)[0]
        net = getattr(torchvision.models, arch)(weights=None)
        from safetensors.torch import load_file

        missing = net.load_state_dict(load_file(prefix + ".safetensors"), strict=False).missing_keys
        if any(not k.endswith("num_batches_tracked") for k in missing):
            sys.exit(f"PyTorch: the file lacks {missing}")
        kind = torch.float16 if half else torch.float32
        net = net.eval().cuda().to(kind).to(memory_format=torch.channels_last)
        given = torch.from_numpy(x).cuda().to(kind).contiguous(memory_format=torch.channels_last)
        if how == "compile":
            net = torch.compile(net, mode="max-autotune")
        if how == "reduce":
            net = torch.compile(net, mode="reduce-overhead")
        with torch.inference_mode():
            for _ in range(5):
                y = net(given)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            if how == "graphs":
                with torch.cuda.graph(graph):
                    y = net(given)

        def run():
            nonlocal y
            with torch.inference_mode():
                if how == "graphs":
                    graph.replay()
                else:
                    y = net(given)
                torch.cuda.synchronize()
            return y

        return run, f"PyTorch {torch.__version__} on {torch.cuda.get_device_name(gpu)}"

    return prepare


ENGINES = {
    "onnxruntime-cpu": onnxruntime_cpu,
    "ncnn-cpu": ncnn(False, False),
    "ncnn-vulkan": ncnn(True, True),
    "ncnn-vulkan-fp32": ncnn(False, True),
    "torch-fp32": torch_gpu(False, "eager"),
    "torch-fp32-graphs": torch_gpu(False, "graphs"),
    "torch-fp32-compile": torch_gpu(False, "compile"),
    "torch-fp32-compile-quick": torch_gpu(False, "reduce"),
    "torch-fp16": torch_gpu(True, "eager"),
    "torch-fp16-graphs": torch_gpu(True, "graphs"),
    "torch-fp16-compile": torch_gpu(True, "compile"),
    "torch-fp16-compile-quick": torch_gpu(True, "reduce"),
}


def main():
    name, prefix, batch, side, threads, *gpu = sys.argv[1:]
    x = np.stack([picture(int(side))] * int(batch))
    run, about = ENGINES[name](prefix, x, int(threads), int(gpu[0]) if gpu else 0)
    y = run()
    if hasattr(y, "cpu"):
        y = y.float().cpu().numpy()
    print(json.dumps({"engine": about, "output": [float(v) for v in np.asarray(y, np.float32).ravel()]}), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
