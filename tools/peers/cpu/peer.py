"""Runs a network with ONNX Runtime or ncnn for compare.py, with the protocol of ours/main.go."""

import sys
import time

import numpy as np


def onnxruntime(prefix, x, threads):
    import onnxruntime as ort

    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(prefix + ".onnx", o, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": x})[0]


def ncnn(prefix, x, threads):
    import ncnn as nc

    net = nc.Net()
    net.opt.num_threads = threads
    # float32 throughout, as the others: no storage or arithmetic in half precision
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    assert net.load_param(prefix + ".param") == 0 and net.load_model(prefix + ".bin") == 0
    pictures = [nc.Mat(p).clone() for p in x]

    def run():  # ncnn knows no batch: one picture after the other
        rows = []
        for p in pictures:
            e = net.create_extractor()
            assert e.input("input", p) == 0
            code, y = e.extract("output")
            assert code == 0
            rows.append(np.array(y))
        return np.stack(rows)

    return run


def main():
    name, prefix, input_file, batch, side, threads = sys.argv[1:]
    x = np.fromfile(input_file, np.float32).reshape(int(batch), 3, int(side), int(side))
    run = {"onnxruntime": onnxruntime, "ncnn": ncnn}[name](prefix, x, int(threads))
    y = None
    print("ready", flush=True)
    for line in sys.stdin:
        verb, rest = line.split()
        if verb == "run":
            start = time.perf_counter()
            for _ in range(int(rest)):
                y = run()
            print(time.perf_counter() - start, flush=True)
        elif verb == "output":
            np.asarray(y, np.float32).tofile(rest)
            print("written", flush=True)
        else:
            sys.exit(f"command {line!r}: want run or output")


if __name__ == "__main__":
    main()
