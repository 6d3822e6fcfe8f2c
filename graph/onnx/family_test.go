package onnx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
)

// step is a node with one result.
func step(op, inputs, result string, attrs ...[]byte) []byte {
	return pt.Node(op, strings.Split(inputs, " "), []string{result}, attrs...)
}

// splitAttention is of a picture of 6 channels, seen as 3 branches of 2, with a group for each.
func splitAttention() [][]byte {
	return [][]byte{
		numbers("one", 1), numbers("branches", 0, 3, 2, 8, 8), numbers("scored", -1, 2, 3, 1), numbers("shared", 0, 3, 2, 1, 1),
		step("Reshape", "x branches", "b"), step("ReduceSum", "b one", "sum", pt.AttrInt("keepdims", 0)),
		step("GlobalAveragePool", "sum", "mean"), tensor("w", 6, 2, 1, 1), step("Conv", "mean w", "scores"),
		step("Reshape", "scores scored", "groups"), step("Transpose", "groups", "turned", pt.AttrInts("perm", 0, 2, 1, 3)),
		step("Softmax", "turned", "soft", pt.AttrInt("axis", 1)), step("Reshape", "soft shared", "a"),
		step("Mul", "a b", "m"), step("ReduceSum", "m one", "y", pt.AttrInt("keepdims", 0)),
	}
}

// termByTerm is split attention of 3 branches of 2 channels whose products are added one by one, the first one last.
func termByTerm() [][]byte {
	return [][]byte{
		numbers("branches", 0, 3, 2, 1), numbers("vector", 0, 6, 1, 1), step("GlobalAveragePool", "x", "v"), step("Reshape", "v branches", "r"),
		step("Softmax", "r", "soft", pt.AttrInt("axis", 1)), step("Reshape", "soft vector", "s"),
		pt.Node("Split", []string{"s"}, []string{"a1", "a2", "a3"}, pt.AttrInt("axis", 1)), pt.Node("Split", []string{"x"}, []string{"x1", "x2", "x3"}, pt.AttrInt("axis", 1)),
		step("Mul", "x1 a1", "m1"), step("Mul", "a2 x2", "m2"), step("Mul", "a3 x3", "m3"), step("Add", "m2 m3", "m4"),
	}
}

// efficientAttention sees the channels as a row, with dimensions that come and go.
func efficientAttention() [][]byte {
	return [][]byte{
		numbers("last", -1), numbers("second", 2), step("GlobalAveragePool", "x", "mean"), step("Squeeze", "mean last", "column"),
		step("Transpose", "column", "row", pt.AttrInts("perm", 0, 2, 1)), tensor("w", 1, 1, 3), tensor("b", 1),
		step("Conv", "row w b", "c", pt.AttrInts("pads", 1, 1), pt.AttrInts("kernel_shape", 3), pt.AttrInts("strides", 1)),
		step("Transpose", "c", "back", pt.AttrInts("perm", 0, 2, 1)), step("Unsqueeze", "back last", "pixel"), step("Sigmoid", "pixel", "s"),
		step("Shape", "x", "extent"), step("Expand", "s extent", "e"), step("Mul", "e x", "y"),
	}
}

// groupNorm is of 2 groups, as exporters write it before there was an operator.
func groupNorm() [][]byte {
	return [][]byte{
		numbers("groups", 0, 2, -1), tensor("one", 2), pt.Initializer(pt.Tensor("zero", proto.Float, []int64{2}, pt.Raw(pt.Floats(0, 0)))),
		step("Reshape", "x groups", "g"), step("InstanceNormalization", "g one zero", "n", pt.AttrFloat("epsilon", 0.25)),
		step("Shape", "x", "extent"), step("Reshape", "n extent", "back"), tensor("w", 6, 1, 1), step("Mul", "back w", "m"), tensor("b", 6, 1, 1), step("Add", "b m", "y"),
	}
}

// standardised has weights that are a batch norm of constants.
func standardised() [][]byte {
	return [][]byte{
		tensor("w", 4, 6, 1, 1), tensor("one", 4), numbers("flat", 1, 4, -1), numbers("full", 4, 6, 1, 1), step("Reshape", "w flat", "f"),
		step("ReduceMean", "f", "mean", pt.AttrInts("axes", 0, 2), pt.AttrInt("keepdims", 0)), step("ReduceMean", "f", "kept", pt.AttrInts("axes", 0, 2)),
		step("Sub", "f kept", "d"), step("Mul", "d d", "q"), step("ReduceMean", "q", "var", pt.AttrInts("axes", 0, 2), pt.AttrInt("keepdims", 0)),
		step("BatchNormalization", "f one one mean var", "n"), step("Reshape", "n full", "s"), step("Conv", "x s", "y"),
	}
}

// The modules become the operations of the IR that are theirs, and nothing is left of the views.
func TestFamily(t *testing.T) {
	for name, test := range map[string]struct {
		fields [][]byte
		want   []graph.Op
	}{
		"split attention": {splitAttention(), []graph.Op{
			graph.GlobalAvgPool{}, graph.ChannelSlice{Begin: 0, End: 2}, graph.ChannelSlice{Begin: 2, End: 4}, graph.Add{}, graph.ChannelSlice{Begin: 4, End: 6}, graph.Add{},
			conv(graph.Padding{}, false), graph.SplitAttention{Radix: 3, Groups: 2},
		}},
		"split attention term by term": {append(termByTerm(), node("Add", "m4 m1")),
			[]graph.Op{graph.GlobalAvgPool{}, graph.ChannelSlice{Begin: 0, End: 2}, graph.ChannelSlice{Begin: 2, End: 4}, graph.ChannelSlice{Begin: 4, End: 6}, graph.SplitAttention{Radix: 3, Groups: 1}}},
		"branches that are no parts": {append(termByTerm(), step("Relu", "x1", "other"), step("Mul", "other a1", "o"), node("Sum", "m2 o m3")),
			[]graph.Op{graph.GlobalAvgPool{}, graph.ChannelSlice{Begin: 0, End: 2}, graph.ChannelSlice{Begin: 2, End: 4}, graph.ChannelSlice{Begin: 4, End: 6}, graph.ReLU{}, graph.Concat{},
				graph.SplitAttention{Radix: 3, Groups: 1}}},
		"efficient attention": {efficientAttention(), []graph.Op{
			graph.GlobalAvgPool{}, graph.Reshape{To: [3]int{1, 6, 1}}, conv(graph.Padding{Top: 1, Bottom: 1}, true), graph.Reshape{To: [3]int{6, 1, 1}}, graph.Gate{},
		}},
		"group norm":   {groupNorm(), []graph.Op{graph.GroupNorm{Groups: 2, Epsilon: 0.25}}},
		"standardised": {standardised(), []graph.Op{conv(graph.Padding{}, false)}},
		"one channel after the other": {[][]byte{tensor("one", 6), step("InstanceNormalization", "x one one", "y")},
			[]graph.Op{graph.GroupNorm{Groups: 6, Epsilon: float64(float32(1e-5))}}},
		"a norm that other nodes read": {[][]byte{tensor("one", 6), step("InstanceNormalization", "x one one", "n"), step("Relu", "n", "r"), step("Add", "r n", "y")},
			[]graph.Op{graph.GroupNorm{Groups: 6, Epsilon: float64(float32(1e-5))}, graph.ReLU{}, graph.Add{}}},
		"a part": {[][]byte{pt.Node("Split", []string{"x"}, []string{"a", "y"}, pt.AttrInt("axis", -3), pt.AttrInts("split", 4, 2))}, []graph.Op{graph.ChannelSlice{Begin: 4, End: 6}}},
		"parts that are not even": {[][]byte{step("Slice", "x", "s", pt.AttrInts("starts", 0), pt.AttrInts("ends", 5), pt.AttrInts("axes", 1)),
			pt.Node("Split", []string{"s"}, []string{"a", "b", "c"}, pt.AttrInt("axis", 1), pt.AttrInt("num_outputs", 3)), step("Concat", "c b", "y", pt.AttrInt("axis", 1))},
			[]graph.Op{graph.ChannelSlice{Begin: 0, End: 5}, graph.ChannelSlice{Begin: 2, End: 4}, graph.ChannelSlice{Begin: 4, End: 5}, graph.Concat{}}},
		"channels and every second row": {[][]byte{step("Slice", "x", "y", pt.AttrInts("starts", -4, 0), pt.AttrInts("ends", 5, 8), pt.AttrInts("axes", 1, 2), pt.AttrInts("steps", 1, 2))},
			[]graph.Op{graph.ChannelSlice{Begin: 2, End: 5}, graph.Subsample{Stride: [2]int{2, 1}}}},
		"channels last": {[][]byte{step("Transpose", "x", "t", pt.AttrInts("perm", 0, 2, 3, 1)), pt.Node("Split", []string{"t"}, []string{"a", "b"}, pt.AttrInt("axis", 3)),
			step("Concat", "b a", "c", pt.AttrInt("axis", -1)), numbers("p", 0, 1, 2, 0, 0, 3, 0, 0), step("Pad", "c p", "q", pt.AttrText("mode", "reflect")),
			step("ReduceMean", "q", "m", pt.AttrInts("axes", 1, 2)), numbers("s", 0, 1, 1, 6), step("Reshape", "m s", "v"), step("Sigmoid", "v", "g"), step("Mul", "q g", "o"), step("Transpose", "o", "z", pt.AttrInts("perm", 0, 3, 1, 2)), node("Relu", "z")},
			[]graph.Op{graph.ChannelSlice{End: 3}, graph.ChannelSlice{Begin: 3, End: 6}, graph.Concat{}, graph.SpatialPad{Padding: graph.Padding{Top: 1, Left: 2, Bottom: 3}, Reflect: true},
				graph.GlobalAvgPool{}, graph.Gate{}, graph.ReLU{}}},
		"mirrored": {[][]byte{numbers("p", 0, 0, 1, 2, 0, 0, 3, 0), step("Pad", "x p", "y", pt.AttrText("mode", "reflect"))},
			[]graph.Op{graph.SpatialPad{Padding: graph.Padding{Top: 1, Left: 2, Bottom: 3}, Reflect: true}}},
		"a sum of branches alone": {[][]byte{numbers("branches", 0, 2, 3, 8, 8), numbers("one", 1), step("Reshape", "x branches", "b"), step("ReduceSum", "b one", "y", pt.AttrInt("keepdims", 0))},
			[]graph.Op{graph.ChannelSlice{Begin: 0, End: 3}, graph.ChannelSlice{Begin: 3, End: 6}, graph.Add{}}},
	} {
		n, err := loadBytes(t, pt.Model(13, append(slices.Clone(test.fields), pt.Input("x", 0, 6, 8, 8), pt.Output("y"))...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		g, err := n.Graph(2, 8, 8)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var ops []graph.Op
		for _, n := range g.Nodes {
			ops = append(ops, n.Op)
		}
		if !slices.Equal(ops, test.want) || g.Outputs[0].Name != "y" {
			t.Errorf("%s: got %+v and an output %q, want %+v and y", name, ops, g.Outputs[0].Name, test.want)
		}
	}
}

func conv(p graph.Padding, bias bool) graph.Conv2D {
	return graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Padding: p, Groups: 1, Bias: bias}
}

// What comes near these modules is refused with the node and the reason.
func TestRefusesFamily(t *testing.T) {
	terms := slices.Concat(numbers("branches", 0, 3, 1, 1, 1), numbers("vector", 0, 3, 1, 1), step("GlobalAveragePool", "x", "v"), step("Reshape", "v branches", "r"),
		step("Softmax", "r", "soft", pt.AttrInt("axis", 1)), step("Reshape", "soft vector", "s"), pt.Node("Split", []string{"s"}, []string{"a", "b", "c"}, pt.AttrInt("axis", 1)),
		pt.Node("Split", []string{"x"}, []string{"p", "q", "r3"}, pt.AttrInt("axis", 1)), step("Mul", "p a", "pa"), step("Mul", "q b", "qb"))
	branches := slices.Concat(numbers("one", 1), numbers("branches", 0, 3, 1, 8, 8), step("Reshape", "x branches", "b"))
	vector := slices.Concat(branches, step("GlobalAveragePool", "x", "v"), numbers("shared", 0, 3, 1, 1, 1), step("Reshape", "v shared", "s"))
	soft := slices.Concat(vector, step("Softmax", "s", "a", pt.AttrInt("axis", 1)))
	row := slices.Concat(numbers("row", 0, 1, 3), step("GlobalAveragePool", "x", "v"), step("Reshape", "v row", "r"))
	scalar := func(name string, v float32) []byte {
		return pt.Initializer(pt.Tensor(name, proto.Float, nil, pt.Raw(pt.Floats(v))))
	}
	deep := tensor("t0", 3, 1, 1)
	for i := range 7 {
		deep = append(deep, step("Mul", fmt.Sprintf("t%d t%d", i, i), fmt.Sprintf("q%d", i))...)
		deep = append(deep, step("Add", fmt.Sprintf("t%d q%d", i, i), fmt.Sprintf("t%d", i+1))...)
	}
	for name, test := range map[string]struct {
		fields [][]byte
		want   string
	}{
		"branches alone":      {[][]byte{branches, step("Identity", "b", "y")}, `output "y": input "y": want [N,C,H,W] or [N,K], got [2 3 1 8 8]`},
		"relu of branches":    {[][]byte{branches, node("Relu", "b")}, `node "y" (Relu): input "b": want [N,C,H,W]`},
		"sum of a picture":    {[][]byte{node("ReduceSum", "x", pt.AttrInts("axes", 1))}, "want branches [N,R,C,H,W] of the channels of a picture, got [2 3 8 8]"},
		"sum of rows":         {[][]byte{branches, node("ReduceSum", "b", pt.AttrInts("axes", 3), pt.AttrInt("keepdims", 0))}, "want the sum over axis 1 of branches"},
		"sum that keeps them": {[][]byte{branches, node("ReduceSum", "b one")}, "attribute keepdims: want 0, got 1"},
		"too many branches": {[][]byte{tensor("w", 65, 3, 1, 1), step("Conv", "x w", "c"), numbers("s", 0, 65, 1, 8, 8), step("Reshape", "c s", "b"), node("ReduceSum", "b", pt.AttrInts("axes", 1), pt.AttrInt("keepdims", 0))},
			"want at most 64 branches, got 65"},
		"softmax alone":           {[][]byte{soft, step("Identity", "a", "y")}, `output "y": input "y": want the result of a Softmax over branches before Mul only`},
		"softmax of branches":     {[][]byte{branches, node("Softmax", "b", pt.AttrInt("axis", 1))}, "want an axis behind the first of a vector of each picture, got axis 1 of [2 3 1 8 8]"},
		"softmax over the batch":  {[][]byte{vector, node("Softmax", "s", pt.AttrInt("axis", 0))}, "got axis 0 of [2 3 1 1 1]"},
		"softmax over one":        {[][]byte{vector, step("Softmax", "s", "a"), node("Mul", "b a")}, "want a softmax over the branches of each channel"},
		"softmax of a softmax":    {[][]byte{soft, node("Softmax", "a", pt.AttrInt("axis", 1))}, "before Mul only"},
		"shares of a picture":     {[][]byte{soft, node("Mul", "x a")}, `input "x": want branches [N,R,C,H,W]`},
		"shares of other extent":  {[][]byte{soft, numbers("t", 0, 1, 3, 1, 1), step("Reshape", "a t", "o"), node("Mul", "b o")}, "want a softmax over branches [2,3,1,1,1], got [2 1 3 1 1]"},
		"weighed branches alone":  {[][]byte{soft, node("Mul", "b a")}, `input "y": want branches times a Softmax over them before ReduceSum only`},
		"weighed branches, other": {[][]byte{soft, step("Mul", "a b", "m"), node("Reshape", "m branches")}, `input "m": want branches times a Softmax`},
		"a term alone":            {[][]byte{terms, node("Relu", "pa")}, `input "pa": want a branch times its share of a Softmax before Add only`},
		"too few terms":           {[][]byte{terms, node("Add", "pa qb")}, `output "y": input "y": want a branch times`},
		"a term twice":            {[][]byte{terms, node("Sum", "pa qb pa")}, "want a softmax over the branches of each channel, got one over something else"},
		"a term and a picture":    {[][]byte{terms, node("Add", "pa q")}, "want a sum of branches times their shares of one softmax"},
		"a picture and a term":    {[][]byte{terms, node("Add", "q pa")}, `input "pa": want a branch times its share`},
		"a share of more":         {[][]byte{terms, node("Mul", "x a")}, "want a softmax [N,C,1,1] for a branch [2,3,8,8], got [2 1 1 1]"},
		"shares split otherwise":  {[][]byte{terms, pt.Node("Split", []string{"soft"}, []string{"y", "z", "w"}, pt.AttrInt("axis", 2))}, "want axis 1 of a softmax [N,C,1,1], got axis 2 of [2 3 1 1 1]"},

		"expand of a picture":     {[][]byte{numbers("e", 2, 3, 8, 16), node("Expand", "x e")}, "shape: want one that [2 3 8 8] can be repeated to"},
		"expand of what is none":  {[][]byte{row, numbers("e", 2, 3, 3), node("Expand", "r e")}, "want the result of a Sigmoid to repeat, got [2 1 3] to repeat to [2 3 3]"},
		"expand to more":          {[][]byte{numbers("e", 1, 2, 3, 8, 8), node("Expand", "x e")}, "shape: want one that"},
		"expand of a constant":    {[][]byte{tensor("c", 1), numbers("e", 2), node("Expand", "c e")}, "got a constant"},
		"gates of another extent": {[][]byte{step("GlobalAveragePool", "x", "v"), step("Sigmoid", "v", "s"), numbers("e", 2, 3, 4, 8), step("Expand", "s e", "o"), node("Mul", "x o")}, "want gates [2 3 1 1] for [2 3 8 8], got [2 3 4 8]"},
		"gates of a row":          {[][]byte{row, step("Sigmoid", "r", "s"), node("Mul", "x s")}, "want gates [2 3 1 1] for [2 3 8 8], got [2 1 3]"},
		"gates expanded, reshape": {[][]byte{step("GlobalAveragePool", "x", "v"), step("Sigmoid", "v", "s"), step("Shape", "x", "e"), step("Expand", "s e", "o"), node("Flatten", "o")}, `input "o": want the result of a Sigmoid before Mul only`},
		"elements transposed":     {[][]byte{numbers("s", 0, 2, 2, 1), tensor("w", 4, 3, 1, 1), step("GlobalAveragePool", "x", "v"), step("Conv", "v w", "c"), step("Reshape", "c s", "r"), step("Transpose", "r", "t", pt.AttrInts("perm", 0, 2, 1, 3)), node("Relu", "t")}, "got them transposed"},
		"transpose of the batch":  {[][]byte{row, node("Transpose", "r", pt.AttrInts("perm", 1, 0, 2))}, "a permutation of 3 dimensions that leaves the first, got [1 0 2]"},
		"unsqueeze of the batch":  {[][]byte{numbers("a", 0), node("Unsqueeze", "x a")}, "axes: want different ones behind the batch"},
		"mean of a row":           {[][]byte{row, node("ReduceMean", "r", pt.AttrInts("axes", 2))}, "want [N,C,H,W] or [N,K], got [2 1 3]"},

		"split of rows":          {[][]byte{pt.Node("Split", []string{"x"}, []string{"y", "z"}, pt.AttrInt("axis", 2))}, "attribute axis: want the channels of [N,C,H,W]"},
		"split into less":        {[][]byte{pt.Node("Split", []string{"x"}, []string{"y", "z"}, pt.AttrInt("axis", 1), pt.AttrInts("split", 1, 1))}, "split: want 2 parts of 3 channels in all, got [1 1]"},
		"split into more":        {[][]byte{pt.Node("Split", []string{"x"}, []string{"y"}, pt.AttrInt("axis", 1), pt.AttrInts("split", 2, 1))}, "split: want 1 parts"},
		"split into nothing":     {[][]byte{pt.Node("Split", []string{"x"}, []string{"y", "z"}, pt.AttrInt("axis", 1), pt.AttrInts("split", 3, 0))}, "split: want parts of 1 to 3 channels, got [3 0]"},
		"split into too many":    {[][]byte{pt.Node("Split", []string{"x"}, []string{"y", "a", "b", "c"}, pt.AttrInt("axis", 1))}, "got [1 1 1 0]"},
		"concat of rows":         {[][]byte{node("Concat", "x x", pt.AttrInt("axis", 2))}, "attribute axis: want the channels of [N,C,H,W]"},
		"concat of other rows":   {[][]byte{step("GlobalAveragePool", "x", "v"), node("Concat", "x v", pt.AttrInt("axis", 1))}, "want [2 3 8 8] as the first but for axis 1, got [2 3 1 1]"},
		"concat of other ranks":  {[][]byte{branches, node("Concat", "x b", pt.AttrInt("axis", 1))}, "want 4 dimensions as the first, got [2 3 1 8 8]"},
		"concat of two layouts":  {[][]byte{step("Transpose", "x", "t", pt.AttrInts("perm", 0, 2, 3, 1)), node("Concat", "t x", pt.AttrInt("axis", 3))}, "attribute axis"},
		"concat with a constant": {[][]byte{tensor("c", 2, 3, 8, 8), node("Concat", "x c", pt.AttrInt("axis", 1))}, `input "c": want what the network computes`},

		"norm of a vector":     {[][]byte{step("Flatten", "x", "f"), tensor("p", 192), node("InstanceNormalization", "f p p")}, "want [N,C,...], or [N,groups,...] of the channels of a picture, got [2 192]"},
		"norm across channels": {[][]byte{numbers("s", 0, 2, -1), tensor("p", 2), step("Reshape", "x s", "g"), node("InstanceNormalization", "g p p")}, "got [2 2 96] of [2,3,8,8]"},
		"norm scale":           {[][]byte{tensor("p", 4), node("InstanceNormalization", "x p p")}, `scale "p": want [3], got [4]`},
		"norm groups":          {[][]byte{tensor("p", 2), node("GroupNormalization", "x p p", pt.AttrInt("num_groups", 2))}, "want [N,C,H,W] and num_groups that C is a multiple of, got [2,3,8,8] and 2"},
		"norm without epsilon": {[][]byte{tensor("p", 3), node("InstanceNormalization", "x p p", pt.AttrFloat("epsilon", 0))}, "epsilon"},

		"constants that differ":     {[][]byte{tensor("a", 2), tensor("b", 3), step("Add", "a b", "c"), node("Mul", "x c")}, "want constants of which one can be repeated to the shape of the other, got [2] and [3]"},
		"constants of constants":    {[][]byte{deep, node("Mul", "x t7")}, "want constants that at most 64 others are needed for"},
		"the root of a picture":     {[][]byte{node("Sqrt", "x")}, `input "x": want a constant`},
		"batch norm of constants":   {[][]byte{tensor("w", 3, 3, 1, 1), tensor("p", 4), step("BatchNormalization", "w p p p p", "n"), node("Conv", "x n")}, `constant "p": want [3], got [4]`},
		"constants without epsilon": {[][]byte{tensor("w", 3, 3, 1, 1), tensor("p", 3), step("BatchNormalization", "w p p p p", "n", pt.AttrFloat("epsilon", 0)), node("Conv", "x n")}, "attribute epsilon: want a number above 0"},
		"a constant's dimension":    {[][]byte{scalar("c", 1), step("ReduceMean", "c", "m", pt.AttrInts("axes", 0)), node("Mul", "x m")}, "axes: want numbers below 0"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, test.want, test.fields...) })
	}
}

// The meaning of an axis changed with opset 13, and that of a group norm's parameters with opset 21.
func TestOpsets(t *testing.T) {
	soft := slices.Concat(numbers("s", 0, 3, 1, 1, 1), step("GlobalAveragePool", "x", "v"), step("Reshape", "v s", "r"), step("Softmax", "r", "a", pt.AttrInt("axis", 1)),
		numbers("b", 0, 3, 1, 8, 8), step("Reshape", "x b", "p"), step("Mul", "p a", "m"), step("ReduceSum", "m", "y", pt.AttrInts("axes", 1), pt.AttrInt("keepdims", 0)))
	wide := slices.Concat(numbers("s", 0, 1, 3, 1, 1), step("GlobalAveragePool", "x", "v"), step("Reshape", "v s", "r"), step("Softmax", "r", "y", pt.AttrInt("axis", 1)))
	norm := func(params int64) []byte {
		return slices.Concat(tensor("p", params), step("GroupNormalization", "x p p", "y", pt.AttrInt("num_groups", 1)))
	}
	for _, test := range []struct {
		opset  int64
		fields []byte
		want   string
	}{
		{11, soft, ""}, {13, soft, ""},
		{11, wide, "want the last axis before opset 13, got axis 1 of [2 1 3 1 1]"}, {13, wide, "before Mul only"},
		{20, norm(1), ""}, {20, norm(3), `scale "p": want [1], got [3]`},
		{21, norm(3), ""}, {21, norm(1), `scale "p": want [3], got [1]`},
	} {
		n, err := loadBytes(t, pt.Model(test.opset, test.fields, pt.Input("x", 0, 3, 8, 8), pt.Output("y")))
		if err == nil {
			_, err = n.Graph(2, 8, 8)
		}
		if got := fmt.Sprint(err); (err == nil) != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("opset %d: got %v, want %q", test.opset, err, test.want)
		}
	}
}

// A constant that is computed of others fails when it is read and is not finite.
func TestComputedConstants(t *testing.T) {
	values := func(name string, v ...float32) []byte {
		return pt.Initializer(pt.Tensor(name, proto.Float, []int64{int64(len(v)), 1, 1}, pt.Raw(pt.Floats(v...))))
	}
	read := func(fields ...[]byte) ([]float32, error) {
		n, err := load(t, fields...)
		if err != nil {
			t.Fatal(err)
		}
		var g *graph.Graph
		if g, err = n.Graph(2, 8, 8); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(g.Params, func(p *graph.Value) bool { return p.Name == "c" })
		if i < 0 {
			t.Fatalf("no parameter c among %v", g.Params)
		}
		dst := make([]float32, 3)
		err = g.Params[i].Data.ReadFloat32s(dst)
		for j, v := range dst {
			if b := g.Params[i].Data.Bound(); err == nil && float64(max(v, -v)) > b {
				t.Errorf("element %d is %v, above the bound %v", j, v, b)
			}
		}
		return dst, err
	}
	a, b := values("a", 1, 4, 9), values("b", 2, 0, -1)
	for _, test := range []struct {
		op, inputs string
		want       []float32
	}{
		{"Add", "a b", []float32{3, 4, 8}}, {"Sub", "a b", []float32{-1, 4, 10}}, {"Mul", "a b", []float32{2, 0, -9}}, {"Div", "b a", []float32{2, 0, float32(-1.0 / 9)}},
		{"Sqrt", "a", []float32{1, 2, 3}}, {"Div", "a b", nil}, {"Sqrt", "b", nil},
	} {
		got, err := read(a, b, step(test.op, test.inputs, "c"), node("Mul", "x c"))
		if test.want == nil && (err == nil || !strings.Contains(err.Error(), `constant "c": want finite numbers, element `)) || test.want != nil && (err != nil || !slices.Equal(got, test.want)) {
			t.Errorf("%s of %s: got %v and error %v, want %v", test.op, test.inputs, got, err, test.want)
		}
	}
	p := pt.Initializer(pt.Tensor("p", proto.Float, []int64{3}, pt.Raw(pt.Floats(1, 2, 3))))
	negative := pt.Initializer(pt.Tensor("v", proto.Float, []int64{3}, pt.Raw(pt.Floats(1, 1, -1e-6))))
	if _, err := read(p, negative, pt.Initializer(pt.Tensor("w", proto.Float, []int64{1, 3}, pt.Raw(pt.Floats(1, 2, 3)))), step("BatchNormalization", "w p p p v", "c"),
		numbers("s", 3, 1, 1), step("Reshape", "c s", "n"), node("Mul", "x n")); err == nil {
		t.Error("a variance below 0 was taken")
	}
}
