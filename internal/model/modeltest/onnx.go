package modeltest

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
)

// WriteONNX writes the colour network to dir/colour.onnx as an exporter would, with probabilities as its result, and returns
// the path.
func WriteONNX(t testing.TB, dir string) string {
	t.Helper()
	g, err := Config().Build(1, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	var fields [][]byte
	for name, x := range Tensors(t) {
		var dims []int64
		for _, d := range x.Type.Shape.Dims() {
			dims = append(dims, int64(d))
		}
		fields = append(fields, pt.Initializer(pt.Tensor(name, proto.Float, dims, pt.Raw(x.Data))))
	}
	for _, n := range g.Nodes {
		var in []string
		for _, v := range n.Inputs {
			in = append(in, v.Name)
		}
		op, attrs := operator(t, n.Op)
		fields = append(fields, pt.Node(op, in, []string{n.Name}, attrs...))
	}
	fields = append(fields, pt.Node("Softmax", []string{g.Outputs[0].Name}, []string{"probabilities"}),
		pt.Input("input", 0, 3, 8, 8), pt.Output("probabilities", 0, 3), pt.Text(2, "colour"))
	model := [][]byte{pt.Model(17, fields...)}
	for key, value := range Metadata() {
		model = append(model, pt.Bytes(14, pt.Text(1, key), pt.Text(2, value)))
	}
	return WriteFile(t, filepath.Join(dir, "colour.onnx"), slices.Concat(model...))
}

// WriteONNXWithoutMean writes dir/flat.onnx, a linear layer over all numbers of a picture of 8×8, with the colour network's labels.
func WriteONNXWithoutMean(t testing.TB, dir string) string {
	t.Helper()
	weights, err := graph.FromFloat32s(graph.NewShape(3, 192), make([]float32, 3*192))
	if err != nil {
		t.Fatal(err)
	}
	model := [][]byte{pt.Model(17,
		pt.Initializer(pt.Tensor("w", proto.Float, []int64{3, 192}, pt.Raw(weights.Data))),
		pt.Node("Flatten", []string{"input"}, []string{"flat"}),
		pt.Node("Gemm", []string{"flat", "w"}, []string{"logits"}, pt.AttrInt("transB", 1)),
		pt.Input("input", 0, 3, 8, 8), pt.Output("logits", 0, 3), pt.Text(2, "flat"))}
	for key, value := range Metadata() {
		model = append(model, pt.Bytes(14, pt.Text(1, key), pt.Text(2, value)))
	}
	return WriteFile(t, filepath.Join(dir, "flat.onnx"), slices.Concat(model...))
}

// operator is what ONNX has for an op of the colour network.
func operator(t testing.TB, op graph.Op) (name string, attrs [][]byte) {
	t.Helper()
	switch op := op.(type) {
	case graph.Conv2D:
		p := op.Padding
		return "Conv", [][]byte{pt.AttrInts("pads", int64(p.Top), int64(p.Left), int64(p.Bottom), int64(p.Right))}
	case graph.BatchNorm:
		return "BatchNormalization", [][]byte{pt.AttrFloat("epsilon", float32(op.Epsilon))}
	case graph.ReLU:
		return "Relu", nil
	case graph.Add:
		return "Add", nil
	case graph.GlobalAvgPool:
		return "GlobalAveragePool", nil
	case graph.Flatten:
		return "Flatten", nil
	case graph.Linear:
		return "Gemm", [][]byte{pt.AttrInt("transB", 1)}
	}
	t.Fatalf("the colour network has a %s", op.Name())
	return "", nil
}
