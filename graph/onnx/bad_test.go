package onnx_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// load opens a model of an input "x" [n,3,8,8], the output "y" and what else is given.
func load(t *testing.T, fields ...[]byte) (*onnx.Network, error) {
	t.Helper()
	return loadBytes(t, pt.Model(13, append(slices.Clone(fields), pt.Input("x", 0, 3, 8, 8), pt.Output("y", 0, 3))...))
}

func loadBytes(t *testing.T, data []byte) (*onnx.Network, error) {
	t.Helper()
	f, err := weights.OpenBytes("m.onnx", data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return onnx.New(f)
}

// tensor is an initializer of ones.
func tensor(name string, dims ...int64) []byte {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return pt.Initializer(pt.Tensor(name, proto.Float, dims, pt.Raw(pt.Floats(slices.Repeat([]float32{1}, int(n))...))))
}

func numbers(name string, v ...int64) []byte {
	return pt.Initializer(pt.Tensor(name, proto.Int64, []int64{int64(len(v))}, pt.Raw(pt.Int64s(v...))))
}

func node(op string, inputs string, attrs ...[]byte) []byte {
	return pt.Node(op, strings.Split(inputs, " "), []string{"y"}, attrs...)
}

// What the IR cannot say is refused with the node and the reason; nothing is guessed.
func TestRefuses(t *testing.T) {
	relu := pt.Node("Relu", []string{"x"}, []string{"r"})
	flat := pt.Node("Flatten", []string{"x"}, []string{"f"})
	row := slices.Concat(numbers("s", 0, 3, 64), pt.Node("Reshape", []string{"x", "s"}, []string{"row"}))
	for name, test := range map[string]struct {
		fields [][]byte
		want   string
	}{
		"unknown operators":  {[][]byte{pt.Node("Tanh", []string{"x"}, []string{"s"}), node("Elu", "s")}, "operators: want those that resnet-run knows, got also Elu (1×), Tanh (1×)"},
		"another domain":     {[][]byte{node("Conv", "x w", pt.Bytes(7, []byte("com.microsoft")))}, "Conv of the domain com.microsoft"},
		"dangling input":     {[][]byte{node("Relu", "z")}, `node "y" (Relu): input "z": want the picture`},
		"a name twice":       {[][]byte{relu, pt.Node("Relu", []string{"r"}, []string{"r"}), node("Relu", "r")}, "a name of its own"},
		"a parameter's name": {[][]byte{tensor("y", 1), node("Relu", "x")}, "a name of its own"},
		"no such output":     {nil, `output "y": input "y": want`},
		"second result":      {[][]byte{pt.Node("MaxPool", []string{"x"}, []string{"p", "i"}, pt.AttrInts("kernel_shape", 2, 2)), pt.Node("Add", []string{"p", "i"}, []string{"y"})}, `result "i": only the first`},

		"conv weights":         {[][]byte{node("Conv", "x x")}, `weights "x": want a constant`},
		"conv rank":            {[][]byte{tensor("w", 3, 3), node("Conv", "x w")}, "want [K,C,R,S], got [3,3]"},
		"conv of a row":        {[][]byte{tensor("w", 3, 3, 3), node("Conv", "x w")}, `input "x": want [N,C,L] for weights [3,3,3], got [2 3 8 8]`},
		"conv of a row, pads":  {[][]byte{row, tensor("w", 3, 3, 3), node("Conv", "row w", pt.AttrInts("pads", 1, 1, 1, 1))}, "attribute pads: want 2 numbers"},
		"conv of a row, steps": {[][]byte{row, tensor("w", 3, 3, 3), node("Conv", "row w", pt.AttrInts("strides", 1, 1))}, "attribute strides: want 1 number"},
		"conv kernel":          {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrInts("kernel_shape", 5, 5))}, "attribute kernel_shape: want 3,3"},
		"conv channels":        {[][]byte{tensor("w", 3, 4, 3, 3), node("Conv", "x w")}, "conv2d: input 1: want 3 channels a filter"},
		"conv strides":         {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrInts("strides", 2))}, "attribute strides: want 2 numbers"},
		"conv stride 0":        {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrInts("strides", 0, 1), pt.AttrText("auto_pad", "SAME_UPPER"))}, "of at least 1"},
		"conv pads":            {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrInts("pads", 1, 1))}, "attribute pads: want 4 numbers"},
		"conv negative pads":   {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrInts("pads", -1, 0, 0, 0))}, "padding"},
		"conv huge pads":       {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrInts("pads", math.MaxInt64, 0, 0, 0))}, "padding"},
		"conv auto_pad":        {[][]byte{tensor("w", 3, 3, 3, 3), node("Conv", "x w", pt.AttrText("auto_pad", "SAME"))}, "attribute auto_pad"},
		"conv bias":            {[][]byte{tensor("w", 3, 3, 3, 3), tensor("b", 3, 1, 1), node("Conv", "x w b")}, `bias "b": want one of the shapes [[3]], got [3,1,1]`},
		"conv too large":       {[][]byte{tensor("w", 3, 3, 9, 9), node("Conv", "x w")}, "a kernel that with dilation 1,1 fits"},
		"add along columns":    {[][]byte{tensor("w", 8, 3, 1, 1), tensor("b", 8), pt.Node("Conv", []string{"x", "w"}, []string{"c"}), node("Add", "c b")}, `bias "b": want one of the shapes [[8 1 1] [1 8 1 1] [] [1] [1 1 1] [1 1 1 1]], got [8]`},
		"add of pixels":        {[][]byte{tensor("b", 1, 1, 8, 8), node("Add", "x b")}, `bias "b": want one of the shapes`},
		"add to classes":       {[][]byte{flat, tensor("b", 1), node("Add", "f b")}, "want 4 dimensions for arithmetic with a constant, got [2,192]"},
		"constants alone":      {[][]byte{tensor("b", 1), node("Add", "b b")}, `output "y": input "y": want what the network computes from the picture, got a constant`},
		"division of a number": {[][]byte{tensor("b", 1), node("Div", "b x")}, "want a division by a constant"},
		"division by nothing":  {[][]byte{pt.Initializer(pt.Tensor("b", proto.Float, []int64{3, 1, 1}, pt.Raw(pt.Floats(1, 0, 2)))), node("Div", "x b")}, "element 1 has another"},
		"add of other shapes":  {[][]byte{pt.Node("GlobalAveragePool", []string{"x"}, []string{"g"}), node("Add", "x g")}, "add: input 1"},
		"mul":                  {[][]byte{node("Mul", "x x")}, "want a product with the result of a Sigmoid or a Softmax"},
		"sub":                  {[][]byte{node("Sub", "x x")}, "want a constant for each channel, or whole numbers"},
		"sigmoid alone":        {[][]byte{node("Sigmoid", "x")}, `output "y": input "y": want the result of a Sigmoid before Mul only`},
		"sigmoid of pixels":    {[][]byte{pt.Node("Sigmoid", []string{"x"}, []string{"s"}), node("Mul", "x s")}, "gate: input 1: want gates [2,3,1,1], got [2,3,8,8]"},
		"sigmoid before conv":  {[][]byte{pt.Node("Sigmoid", []string{"x"}, []string{"s"}), tensor("w", 3, 3, 1, 1), node("Conv", "s w")}, `node "y" (Conv): input "s": want the result of a Sigmoid before Mul only`},
		"sigmoid before pool":  {[][]byte{pt.Node("Sigmoid", []string{"x"}, []string{"s"}), node("MaxPool", "s", pt.AttrInts("kernel_shape", 2, 2))}, `node "y" (MaxPool): input "s": want the result of a Sigmoid before Mul only`},
		"sigmoid before pad":   {[][]byte{pt.Node("Sigmoid", []string{"x"}, []string{"s"}), numbers("p", 0, 0, 1, 1, 0, 0, 1, 1), node("Pad", "s p")}, `node "y" (Pad): input "s": want the result of a Sigmoid before Mul only`},
		"product of gates":     {[][]byte{pt.Node("Sigmoid", []string{"x"}, []string{"s"}), node("Mul", "s s")}, "want the result of a Sigmoid before Mul only"},

		"norm in training":    {[][]byte{tensor("p", 3), node("BatchNormalization", "x p p p p", pt.AttrInt("training_mode", 1))}, "attribute training_mode: want 0, got 1"},
		"norm of elements":    {[][]byte{tensor("p", 3), node("BatchNormalization", "x p p p p", pt.AttrInt("spatial", 0))}, "attribute spatial: want 1, got 0"},
		"norm channels":       {[][]byte{tensor("p", 4), node("BatchNormalization", "x p p p p")}, `scale "p": want [3], got [4]`},
		"norm epsilon":        {[][]byte{tensor("p", 3), node("BatchNormalization", "x p p p p", pt.AttrFloat("epsilon", 0))}, "epsilon"},
		"dropout in training": {[][]byte{pt.Initializer(pt.Tensor("t", proto.Bool, nil, pt.Int(5, 1))), tensor("r", 1), node("Dropout", "x r t")}, "training_mode: want a constant false"},
		"softmax of pictures": {[][]byte{node("Softmax", "x")}, "want two dimensions"},
		"softmax over batch":  {[][]byte{flat, node("Softmax", "f", pt.AttrInt("axis", 0))}, "axis 0"},

		"gemm transA":      {[][]byte{flat, tensor("w", 192, 3), node("Gemm", "f w", pt.AttrInt("transA", 1))}, "attribute transA: want 0"},
		"gemm of pictures": {[][]byte{tensor("w", 8, 8), node("MatMul", "x w")}, "want two dimensions of both"},
		"gemm extent":      {[][]byte{flat, tensor("w", 191, 3), node("Gemm", "f w")}, "linear: input 1"},
		"gemm bias":        {[][]byte{flat, tensor("w", 192, 3), tensor("b", 4), node("Gemm", "f w b")}, `bias "b": want one of the shapes`},
		"gemm overflow":    {[][]byte{flat, pt.Initializer(pt.Tensor("w", proto.Float, []int64{192, 1}, pt.Raw(pt.Floats(slices.Repeat([]float32{3e38}, 192)...)))), node("Gemm", "f w", pt.AttrFloat("alpha", 10))}, "want finite numbers"},

		"pool dilation":    {[][]byte{node("MaxPool", "x", pt.AttrInts("kernel_shape", 2, 2), pt.AttrInts("dilations", 2, 2))}, "attribute dilations: want 1,1"},
		"pool kernel":      {[][]byte{node("AveragePool", "x")}, "of at least 1"},
		"pad of the batch": {[][]byte{numbers("p", 1, 0, 0, 0, 0, 0, 0, 0), node("Pad", "x p")}, "want none of the batch"},
		"pad below 0":      {[][]byte{numbers("p", 0, 0, -1, 0, 0, 0, 0, 0), node("Pad", "x p")}, "want numbers of at least 0"},
		"pad too few":      {[][]byte{numbers("p", 0, 0, 1), node("Pad", "x p")}, "two numbers for each of the axes"},
		"pad axes":         {[][]byte{numbers("p", 1, 1), numbers("a", 4), node("Pad", "x p  a")}, "axes: want numbers below 4"},
		"pad mode":         {[][]byte{numbers("p", 0, 0, 1, 1, 0, 0, 1, 1), node("Pad", "x p", pt.AttrText("mode", "edge"))}, "want constant or reflect, got \"edge\""},
		"reflect too far":  {[][]byte{numbers("p", 0, 0, 8, 1, 0, 0, 1, 1), node("Pad", "x p", pt.AttrText("mode", "reflect"))}, "less than the picture 8x8 on each side"},
		"reflect channels": {[][]byte{numbers("p", 0, 1, 0, 0, 0, 0, 1, 1), node("Pad", "x p", pt.AttrText("mode", "reflect"))}, "want none of the channels to reflect"},
		"pad with ones":    {[][]byte{numbers("p", 0, 0, 1, 1, 0, 0, 1, 1), tensor("v", 1), node("Pad", "x p v")}, "constant_value: want 0, got 1"},

		"slice of a part":     {[][]byte{node("Slice", "x", pt.AttrInts("starts", 1), pt.AttrInts("ends", 8), pt.AttrInts("axes", 2))}, "and every n-th row or column from the first to the last, got 1 to 8"},
		"slice of channels":   {[][]byte{node("Slice", "x", pt.AttrInts("starts", 0), pt.AttrInts("ends", 2), pt.AttrInts("axes", 1), pt.AttrInts("steps", 2))}, "want neighbouring channels"},
		"slice in step 0":     {[][]byte{node("Slice", "x", pt.AttrInts("starts", 0), pt.AttrInts("ends", 8), pt.AttrInts("axes", 2), pt.AttrInts("steps", 0))}, "steps: want numbers of at least 1"},
		"slice counts":        {[][]byte{node("Slice", "x", pt.AttrInts("starts", 0, 0), pt.AttrInts("ends", 8))}, "as many starts as ends"},
		"mean over channels":  {[][]byte{node("ReduceMean", "x", pt.AttrInts("axes", 1, 2))}, "want the mean over axes 2 and 3"},
		"mean over all":       {[][]byte{node("ReduceMean", "x")}, "want the mean over axes 2 and 3"},
		"flatten from 2":      {[][]byte{node("Flatten", "x", pt.AttrInt("axis", 2))}, "attribute axis: want 1"},
		"reshape otherwise":   {[][]byte{numbers("s", -1, 4), node("Reshape", "x s")}, "shape: want [N,...] with the 192 elements of each of 2 pictures, got [-1 4] of [2 3 8 8]"},
		"reshape of batch":    {[][]byte{numbers("s", 6, -1), node("Reshape", "x s")}, "shape: want [N,...] with the 192 elements"},
		"reshape to 3":        {[][]byte{numbers("s", 0, 3, 64), node("Reshape", "x s")}, `output "y": input "y": want [N,C,H,W] or [N,K], got [2 3 64]`},
		"transpose":           {[][]byte{node("Transpose", "x", pt.AttrInts("perm", 0, 1, 3, 2))}, "want a picture that is turned from [N,H,W,C] to [N,C,H,W] or back"},
		"channels last":       {[][]byte{node("Transpose", "x", pt.AttrInts("perm", 0, 2, 3, 1))}, `output "y": input "y": want a Transpose from [N,H,W,C]`},
		"layouts that differ": {[][]byte{pt.Node("Transpose", []string{"x"}, []string{"t"}, pt.AttrInts("perm", 0, 2, 3, 1)), node("Add", "x t")}, "channels in the same place"},
		"flatten of rows":     {[][]byte{pt.Node("Transpose", []string{"x"}, []string{"t"}, pt.AttrInts("perm", 0, 2, 3, 1)), node("Flatten", "t")}, "want a Transpose from [N,H,W,C]"},
		"pool of rows":        {[][]byte{pt.Node("Transpose", []string{"x"}, []string{"t"}, pt.AttrInts("perm", 0, 2, 3, 1)), node("MaxPool", "t", pt.AttrInts("kernel_shape", 2, 2))}, "want a Transpose from [N,H,W,C]"},
		"filters permuted":    {[][]byte{tensor("w", 3, 3, 3, 8), pt.Node("Transpose", []string{"w"}, []string{"t"}, pt.AttrInts("perm", 3, 2, 0, 0)), node("Conv", "x t")}, "a permutation of its dimensions"},
		"constant reshaped":   {[][]byte{tensor("w", 3, 3), numbers("s", 2, -1), pt.Node("Reshape", []string{"w", "s"}, []string{"t"}), node("Mul", "x t")}, "shape: want 9 elements, got [2 -1]"},
		"cast to whole":       {[][]byte{node("Cast", "x", pt.AttrInt("to", 7))}, "attribute to: want a floating-point type"},
		"shape as a result":   {[][]byte{node("Shape", "x")}, `output "y"`},
		"gather beyond":       {[][]byte{numbers("i", 4), pt.Node("Shape", []string{"x"}, []string{"s"}), node("Gather", "s i")}, "indices: want numbers below 4"},
		"division by zero":    {[][]byte{numbers("i", 0), pt.Node("Shape", []string{"x"}, []string{"s"}), node("Div", "s i")}, "division by zero"},
		"a huge constant":     {[][]byte{numbers("s", 1<<40, 1<<40), node("ConstantOfShape", "s")}, "elements"},
		"squeeze of rows":     {[][]byte{numbers("a", 2), node("Squeeze", "x a")}, "want axes of one element and not the batch, got axes [2] of [2 3 8 8]"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, test.want, test.fields...) })
	}
}

func refuses(t *testing.T, want string, fields ...[]byte) {
	t.Helper()
	n, err := load(t, fields...)
	if err == nil {
		_, err = n.Graph(2, 8, 8)
	}
	var oe *onnx.Error
	if !errors.As(err, &oe) || oe.File != "m.onnx" || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an *Error with %q", err, want)
	}
}

// A Pad that no reader can take for its own padding becomes one of the graph.
func TestPadsOfTheirOwn(t *testing.T) {
	pads := []byte(nil)
	pads = append(pads, numbers("p", 0, 0, 1, 2, 0, 0, 3, 0)...)
	pads = append(pads, pt.Node("Pad", []string{"x", "p"}, []string{"q"})...)
	for name, test := range map[string]struct {
		node  []byte
		zeros bool
		out   graph.TensorType
	}{
		"relu":                              {node("Relu", "q"), true, graph.F32(2, 3, 12, 10)},
		"max":                               {node("MaxPool", "q", pt.AttrInts("kernel_shape", 4, 3)), true, graph.F32(2, 3, 9, 8)},
		"average":                           {node("AveragePool", "q", pt.AttrInts("kernel_shape", 4, 4)), false, graph.F32(2, 3, 9, 7)},
		"average with a padding of its own": {node("AveragePool", "q", pt.AttrInts("kernel_shape", 4, 4), pt.AttrInts("pads", 1, 1, 1, 1)), true, graph.F32(2, 3, 11, 9)},
	} {
		n, err := load(t, pads, test.node)
		if err != nil {
			t.Fatal(err)
		}
		g, err := n.Graph(2, 8, 8)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, zeros := g.Nodes[0].Op.(graph.SpatialPad)
		if got := g.Outputs[0].Type; got != test.out || zeros != test.zeros {
			t.Errorf("%s: got %v, zeros of their own %v, want %v and %v", name, got, zeros, test.out, test.zeros)
		}
	}
}

func TestRefusesInputs(t *testing.T) {
	relu := node("Relu", "x")
	for name, test := range map[string]struct {
		fields [][]byte
		want   string
	}{
		"none":    {[][]byte{relu, pt.Output("y")}, "inputs: want one picture, got 0: none"},
		"two":     {[][]byte{relu, pt.Output("y"), pt.Input("x", 1, 3, 8, 8), pt.Input("z", 1)}, `got 2: "x", "z"`},
		"rank":    {[][]byte{relu, pt.Output("y"), pt.Input("x", 1, 3, 8)}, "want 4 dimensions, got [1 3 8]"},
		"outputs": {[][]byte{relu, pt.Input("x", 1, 3, 8, 8)}, "outputs: want at least one"},
		"open":    {[][]byte{relu, pt.Output("y"), pt.Input("x", 1, 0, 8, 8)}, "want a fixed number of channels"},
		"last":    {[][]byte{relu, pt.Output("y"), pt.Input("x", 1, 8, 8, 1<<62)}, "too"},
	} {
		n, err := loadBytes(t, pt.Model(13, test.fields...))
		if err == nil && name != "last" {
			_, err = n.Graph(1, 8, 8)
		} else if err == nil {
			_, err = n.Graph(1, 8, math.MaxInt/2)
		}
		if err == nil || name != "last" && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	f, err := weights.OpenBytes("w.safetensors", []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onnx.New(f); err == nil || !strings.Contains(err.Error(), "want an ONNX file, got safetensors") {
		t.Errorf("another format: got %v", err)
	}
}

// An initializer that is listed among the inputs, as before IR version 4, is a parameter.
func TestInitializersAmongInputs(t *testing.T) {
	n, err := load(t, pt.Input("w", 4, 3, 1, 1), tensor("w", 4, 3, 1, 1), node("Conv", "x w"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := n.Graph(5, 6, 7)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Outputs[0].Type; got != graph.F32(5, 4, 6, 7) {
		t.Errorf("got %v, want [5,4,6,7]", got)
	}
}

// What no output needs is not looked at, and names become ones that a graph may have, no two alike.
func TestDeadNodesAndNames(t *testing.T) {
	long := strings.Repeat("very/", 100) + "long"
	n, err := load(t,
		pt.Node("Relu", []string{"x"}, []string{"a b"}), pt.Node("Relu", []string{"a b"}, []string{"a_b"}), pt.Node("Relu", []string{"a_b"}, []string{long}),
		pt.Node("NonMaxSuppression", []string{"x"}, []string{"unused"}), pt.Node("Relu", []string{long}, []string{"é"}), node("Relu", "é"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := n.Graph(1, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range g.Nodes {
		names = append(names, node.Name)
	}
	if want := []string{"a_b", "a_b:2", long[len(long)-200:], "__", "y"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if err := g.Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add(pt.Model(13, pt.Input("x", 0, 3, 8, 8), pt.Output("y"), tensor("w", 4, 3, 3, 3), tensor("b", 4), node("Conv", "x w b", pt.AttrInts("pads", 1, 1, 1, 1))))
	f.Add(pt.Model(13, pt.Input("x", 1, 8, 8, 3), pt.Output("y"), pt.Node("Transpose", []string{"x"}, []string{"t"}, pt.AttrInts("perm", 0, 3, 1, 2)), node("GlobalAveragePool", "t")))
	f.Add(pt.Model(9, pt.Input("x", 1, 3, 8, 8), pt.Output("y"), pt.Node("Shape", []string{"x"}, []string{"s"}), numbers("i", 0), pt.Node("Gather", []string{"s", "i"}, []string{"g"}),
		numbers("m", -1), pt.Node("Concat", []string{"g", "m"}, []string{"c"}), node("Reshape", "x c")))
	f.Add(pt.Model(11, pt.Input("x", 1, 3, 8, 8), pt.Output("y"), numbers("p", 0, 1, 0, 0, 0, 1, 0, 0), pt.Node("Pad", []string{"x", "p"}, []string{"q"}),
		node("Slice", "q", pt.AttrInts("starts", 0), pt.AttrInts("ends", 99), pt.AttrInts("axes", 2), pt.AttrInts("steps", 2))))
	f.Add(pt.Model(13, pt.Input("x", 0, 3, 2, 2), pt.Output("y"), pt.Node("Flatten", []string{"x"}, []string{"f"}), tensor("w", 12, 3), pt.Node("MatMul", []string{"f", "w"}, []string{"m"}), tensor("b", 3), node("Add", "m b")))
	for _, fields := range [][][]byte{splitAttention(), append(termByTerm(), node("Add", "m4 m1")), efficientAttention(), groupNorm(), standardised()} {
		f.Add(pt.Model(13, append(fields, pt.Input("x", 0, 6, 8, 8), pt.Output("y"))...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := weights.OpenBytes("m.onnx", data)
		if err != nil || w.Format() != weights.FormatONNX {
			return
		}
		defer w.Close()
		n, err := onnx.New(w)
		if err != nil {
			return
		}
		n.Stride()
		n.Producer()
		for _, size := range []int{1, 8} {
			g, err := n.Graph(2, size, size)
			if err != nil {
				continue
			}
			if err := g.Validate(); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if !g.Bound() {
				t.Fatalf("size %d: parameters without data", size)
			}
			for _, p := range g.Params { // those that are computed, too
				if n := p.Type.Shape.Elems(); n <= 1<<12 {
					p.Data.ReadFloat32s(make([]float32, n)) // an error, or numbers
				}
			}
		}
	})
}
