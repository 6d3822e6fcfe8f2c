package golden

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// node adds what a node of the model does to the graph. tools/golden/onnx/nodes.py has left out the tests that need more.
func (t *onnxGraph) node(n onnxNode) error {
	switch n.op {
	case "Constant":
		t.constants[n.outputs[0]] = n.attrs["value"].t
		return nil
	case "ConstantOfShape":
		return t.constantOfShape(n)
	case "Identity":
		t.constants[n.outputs[0]] = t.constants[n.inputs[0]]
		return nil
	case "Transpose":
		m := t.constants[n.inputs[0]]
		if len(m.dims) != 2 {
			return fmt.Errorf("want a constant matrix, got %v", m.dims)
		}
		t.constants[n.outputs[0]] = onnxTensor{dims: []int{m.dims[1], m.dims[0]}, f32: transposed(m.f32, m.dims[0], m.dims[1])}
		return nil
	}
	op, in, err := t.operation(n)
	if err != nil {
		return err
	}
	y := t.b.Node(legal(n.outputs[0]), op, in...)
	t.values[n.outputs[0]] = y
	return nil
}

func (t *onnxGraph) constantOfShape(n onnxNode) error {
	dims, value := t.constants[n.inputs[0]].i64, n.attrs["value"].t.f32
	if len(value) != 1 {
		return fmt.Errorf("want one float32 value, got %d", len(value))
	}
	data := make([]float32, graph.NewShape(dims...).Elems())
	for i := range data {
		data[i] = value[0]
	}
	t.constants[n.outputs[0]] = onnxTensor{dims: dims, f32: data}
	return nil
}

func (t *onnxGraph) operation(n onnxNode) (graph.Op, []*graph.Value, error) {
	switch n.op {
	case "Conv":
		return t.conv(n)
	case "BatchNormalization":
		return t.batchNorm(n)
	case "Gemm", "MatMul":
		return t.gemm(n)
	case "Sum", "Add":
		return t.sum(n)
	case "GroupNormalization", "InstanceNormalization":
		return t.groupNorm(n)
	case "Concat":
		return t.concat(n)
	case "Split", "Slice", "Pad", "Reshape":
		return t.moved(n)
	}
	x, err := t.value(n.inputs[0], true)
	if n.op == "Relu" || n.op == "Softmax" || n.op == "Flatten" {
		x, err = t.value(n.inputs[0], false)
	}
	if err != nil {
		return nil, nil, err
	}
	in := []*graph.Value{x}
	switch n.op {
	case "Relu":
		return graph.ReLU{}, in, nil
	case "Softmax":
		return graph.Softmax{}, in, nil
	case "Flatten":
		return graph.Flatten{}, in, nil
	case "GlobalAveragePool":
		return graph.GlobalAvgPool{}, in, nil
	case "MaxPool", "AveragePool":
		w, err := t.window(n, x, n.attrs["kernel_shape"].ints)
		if err != nil {
			return nil, nil, err
		}
		ceil := n.attrs["ceil_mode"].i != 0
		if n.op == "MaxPool" {
			return graph.MaxPool{Kernel: w.kernel, Stride: w.stride, Padding: w.pad, CeilMode: ceil}, in, nil
		}
		return graph.AvgPool{Kernel: w.kernel, Stride: w.stride, Padding: w.pad, CeilMode: ceil, CountIncludePad: n.attrs["count_include_pad"].i != 0}, in, nil
	}
	return nil, nil, fmt.Errorf("no operation of ours")
}

// onnxWindow is a window by rows and columns.
type onnxWindow struct {
	kernel, stride, dilation [2]int
	pad                      graph.Padding
}

// window reads the attributes of Conv and the pools.
func (t *onnxGraph) window(n onnxNode, x *graph.Value, kernel []int) (w onnxWindow, err error) {
	two := func(list []int, otherwise int) [2]int {
		switch len(list) {
		case 0:
			return [2]int{otherwise, otherwise}
		case 1:
			return [2]int{1, list[0]} // a row
		}
		return [2]int{list[0], list[1]}
	}
	w.kernel, w.stride, w.dilation = two(kernel, 1), two(n.attrs["strides"].ints, 1), two(n.attrs["dilations"].ints, 1)
	switch pads, auto := n.attrs["pads"].ints, n.attrs["auto_pad"].s; {
	case auto == "SAME_UPPER" || auto == "SAME_LOWER":
		_, _, height, width := x.Type.Shape.NCHW()
		var before, after [2]int
		for axis, size := range [2]int{height, width} {
			steps := (size + w.stride[axis] - 1) / w.stride[axis]
			all := max(0, (steps-1)*w.stride[axis]+w.dilation[axis]*(w.kernel[axis]-1)+1-size)
			before[axis], after[axis] = all/2, all-all/2
			if auto == "SAME_LOWER" {
				before[axis], after[axis] = after[axis], before[axis]
			}
		}
		w.pad = graph.Padding{Top: before[0], Left: before[1], Bottom: after[0], Right: after[1]}
	case auto != "" && auto != "NOTSET" && auto != "VALID":
		return w, fmt.Errorf("auto_pad: got %q", auto)
	case len(pads) == 4:
		w.pad = graph.Padding{Top: pads[0], Left: pads[1], Bottom: pads[2], Right: pads[3]}
	case len(pads) == 2:
		w.pad = graph.Padding{Left: pads[0], Right: pads[1]}
	}
	return w, nil
}

func (t *onnxGraph) conv(n onnxNode) (graph.Op, []*graph.Value, error) {
	x, err := t.value(n.inputs[0], true)
	if err != nil {
		return nil, nil, err
	}
	weight := t.constants[n.inputs[1]]
	dims := weight.dims
	if len(dims) < 3 {
		return nil, nil, fmt.Errorf("weight: got %v", dims)
	}
	if len(dims) == 3 {
		dims = []int{dims[0], dims[1], 1, dims[2]}
	}
	w, err := t.window(n, x, weight.dims[2:])
	if err != nil {
		return nil, nil, err
	}
	op := graph.Conv2D{Stride: w.stride, Dilation: w.dilation, Padding: w.pad, Groups: max(1, n.attrs["group"].i)}
	p, err := t.param(n.inputs[1], "conv", weight.f32, dims...)
	if err != nil {
		return nil, nil, err
	}
	in := []*graph.Value{x, p}
	if len(n.inputs) > 2 {
		op.Bias = true
		b, err := t.param(n.inputs[2], "bias", t.constants[n.inputs[2]].f32, dims[0])
		if err != nil {
			return nil, nil, err
		}
		in = append(in, b)
	}
	return op, in, nil
}

func (t *onnxGraph) batchNorm(n onnxNode) (graph.Op, []*graph.Value, error) {
	x, err := t.value(n.inputs[0], true)
	if err != nil {
		return nil, nil, err
	}
	in := []*graph.Value{x}
	for i, role := range []string{"weight", "bias", "mean", "variance"} {
		c := t.constants[n.inputs[i+1]]
		p, err := t.param(n.inputs[i+1], role, c.f32, c.dims...)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, p)
	}
	epsilon := float32(1e-5) // the attribute is a float32
	if a, ok := n.attrs["epsilon"]; ok {
		epsilon = a.f
	}
	return graph.BatchNorm{Epsilon: float64(epsilon)}, in, nil
}

// gemm is alpha·A·B + beta·C as a Linear, whose weight is B's transpose; factors and transpositions are of data.
func (t *onnxGraph) gemm(n onnxNode) (graph.Op, []*graph.Value, error) {
	alpha, beta := float32(1), float32(1)
	if a, ok := n.attrs["alpha"]; ok {
		alpha = a.f
	}
	if a, ok := n.attrs["beta"]; ok {
		beta = a.f
	}
	if a := t.constants[n.inputs[0]]; n.attrs["transA"].i != 0 {
		t.constants[n.inputs[0]] = onnxTensor{dims: []int{a.dims[1], a.dims[0]}, f32: transposed(a.f32, a.dims[0], a.dims[1])}
	}
	x, err := t.value(n.inputs[0], false)
	if err != nil {
		return nil, nil, err
	}
	weight := t.constants[n.inputs[1]]
	if len(weight.dims) != 2 {
		return nil, nil, fmt.Errorf("want a constant matrix, got %v", weight.dims)
	}
	rows, columns, data := weight.dims[0], weight.dims[1], scaled(weight.f32, alpha)
	if n.attrs["transB"].i == 0 {
		data, rows, columns = transposed(data, rows, columns), columns, rows
	}
	p, err := t.param(n.inputs[1], "matrix", data, rows, columns)
	if err != nil || len(n.inputs) < 3 {
		return graph.Linear{}, []*graph.Value{x, p}, err
	}
	bias := scaled(t.constants[n.inputs[2]].f32, beta)
	for len(bias) < rows {
		bias = append(bias, bias[0]) // of one element
	}
	b, err := t.param(n.inputs[2], "bias", bias, rows)
	return graph.Linear{Bias: true}, []*graph.Value{x, p, b}, err
}

// sum adds all but the last two operands first.
func (t *onnxGraph) sum(n onnxNode) (graph.Op, []*graph.Value, error) {
	var in []*graph.Value
	for i, name := range n.inputs {
		v, err := t.value(name, false)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, v)
		if len(in) == 2 && i+1 < len(n.inputs) {
			in = []*graph.Value{t.b.Node(fmt.Sprintf("%s.part%d", legal(n.outputs[0]), i), graph.Add{}, in...)}
		}
	}
	return graph.Add{}, in, nil
}
