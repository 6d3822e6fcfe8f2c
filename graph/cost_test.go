package graph_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func mustParse(t testing.TB, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestCostOfEachOp has figures worked out by hand; rows differ from columns and R from S throughout.
func TestCostOfEachOp(t *testing.T) {
	for _, c := range []struct {
		op   string
		want graph.Cost
	}{
		// P = (9+1+3-2*(2-1)-1)/2+1 = 6, Q = (11+2+4-3*(3-1)-1)/1+1 = 11: 2·6·6·11 = 792 outputs of 2·2·3 = 12 products.
		// Read: x 2·4·9·11 = 792, w 6·2·2·3 = 72 elements.
		{"conv2d(float32[2,4,9,11], float32[6,2,2,3]) stride=2,1 padding=1,2,3,4 dilation=2,3 groups=2",
			graph.Cost{MACs: 9504, FLOPs: 19008, ReadBytes: 4 * (792 + 72), WriteBytes: 4 * 792}},
		// The same with bias 6 and shortcut 792 elements: three more operations an output.
		{"conv2d(float32[2,4,9,11], float32[6,2,2,3], float32[6], float32[2,6,6,11]) stride=2,1 padding=1,2,3,4 dilation=2,3 groups=2 bias=true add=true act=relu",
			graph.Cost{MACs: 9504, FLOPs: 19008 + 3*792, ReadBytes: 4 * (792 + 72 + 6 + 792), WriteBytes: 4 * 792}},
		{"conv2d(float32[2,4,9,11], float32[6,2,2,3], float32[6]) stride=2,1 padding=1,2,3,4 dilation=2,3 groups=2 bias=true",
			graph.Cost{MACs: 9504, FLOPs: 19008 + 792, ReadBytes: 4 * (792 + 72 + 6), WriteBytes: 4 * 792}},
		{"conv2d(float32[2,4,9,11], float32[6,2,2,3]) stride=2,1 padding=1,2,3,4 dilation=2,3 groups=2 act=relu",
			graph.Cost{MACs: 9504, FLOPs: 19008 + 792, ReadBytes: 4 * (792 + 72), WriteBytes: 4 * 792}},
		{"linear(float32[3,5], float32[7,5], float32[7]) bias=true", graph.Cost{MACs: 105, FLOPs: 231, ReadBytes: 4 * (15 + 35 + 7), WriteBytes: 84}},
		{"linear(float16[3,5], float16[7,5])", graph.Cost{MACs: 105, FLOPs: 210, ReadBytes: 2 * (15 + 35), WriteBytes: 42}},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[3], float32[3], float32[3]) epsilon=1",
			graph.Cost{FLOPs: 240, ReadBytes: 4 * (120 + 12), WriteBytes: 480}},
		{"relu(float32[2,3,4,5])", graph.Cost{FLOPs: 120, ReadBytes: 480, WriteBytes: 480}},
		{"add(float32[2,3,4,5], float32[2,3,4,5])", graph.Cost{FLOPs: 120, ReadBytes: 960, WriteBytes: 480}},
		// P = (7-3)/2+1 = 3, Q = (9-2)/3+1 = 3: 9 outputs a channel, windows of 6: 5 comparisons, or 5 additions and a division.
		{"max_pool(float32[1,2,7,9]) kernel=3,2 stride=2,3", graph.Cost{FLOPs: 18 * 5, ReadBytes: 4 * 126, WriteBytes: 4 * 18}},
		{"avg_pool(float32[1,2,7,9]) kernel=3,2 stride=2,3", graph.Cost{FLOPs: 18 * 6, ReadBytes: 4 * 126, WriteBytes: 4 * 18}},
		{"global_avg_pool(float32[2,3,4,5])", graph.Cost{FLOPs: 120, ReadBytes: 480, WriteBytes: 24}},
		{"gate(float32[2,3,4,5], float32[2,3,1,1], float32[2,3,4,5]) add=true act=relu", graph.Cost{FLOPs: 24 + 3*120, ReadBytes: 984, WriteBytes: 480}},
		{"softmax(float32[3,7])", graph.Cost{FLOPs: 105, ReadBytes: 84, WriteBytes: 84}},
		// 240 elements: sum, difference, square, sum, product and sum, and once more for the activation.
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=3 epsilon=1", graph.Cost{FLOPs: 6 * 240, ReadBytes: 4 * (240 + 12), WriteBytes: 960}},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=1 epsilon=1 act=relu", graph.Cost{FLOPs: 7 * 240, ReadBytes: 4 * (240 + 12), WriteBytes: 960}},
		// 24 scores as a softmax, 480 products and sums, and for each of 160 results a sum with the shortcut and the activation.
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1]) radix=3 groups=2", graph.Cost{FLOPs: 5*24 + 2*480, ReadBytes: 4 * (480 + 24), WriteBytes: 640}},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1], float32[2,4,4,5]) radix=3 groups=1 add=true act=relu",
			graph.Cost{FLOPs: 5*24 + 2*480 + 2*160, ReadBytes: 4 * (480 + 24 + 160), WriteBytes: 640}},
		{"flatten(float32[2,3,4,5])", graph.Cost{}},
		{"reshape(float32[2,3,4,5]) to=1,6,10", graph.Cost{}},
		{"concat(float32[2,3,4,5], float32[2,1,4,5])", graph.Cost{ReadBytes: 640, WriteBytes: 640}},
		{"channel_slice(float32[2,3,4,5]) begin=1 end=2", graph.Cost{ReadBytes: 480, WriteBytes: 160}},
		{"spatial_pad(float32[2,3,4,5]) padding=1,2,0,3", graph.Cost{ReadBytes: 480, WriteBytes: 4 * 6 * 5 * 10}},
		{"channel_pad(float32[2,3,4,5]) before=1 after=2", graph.Cost{ReadBytes: 480, WriteBytes: 960}},
		{"subsample(float32[2,3,4,5]) stride=3,2", graph.Cost{ReadBytes: 480, WriteBytes: 4 * 2 * 3 * 2 * 3}},
	} {
		g := mustParse(t, applied(c.op))
		if got := g.Nodes[0].Cost(); got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.op, got, c.want)
		}
	}
}

func TestCostOfAGraphCountsASharedParameterOnce(t *testing.T) {
	g := mustParse(t, `graph shared
input %x : float32[2,3,4,5]
param @w : float32[3,3,1,1]
param @unused : float32[7]
%a = conv2d(%x, @w) : float32[2,3,4,5]
%b = conv2d(%a, @w) : float32[2,3,4,5]
output %b
`)
	if got, want := g.Nodes[1].Cost(), (graph.Cost{MACs: 360, FLOPs: 720, ReadBytes: 516, WriteBytes: 480, Params: 9, ParamBytes: 36}); got != want {
		t.Errorf("node: got %+v, want %+v", got, want)
	}
	want := graph.Cost{MACs: 720, FLOPs: 1440, ReadBytes: 1032, WriteBytes: 960, Params: 16, ParamBytes: 64}
	if got := g.Cost(); got != want {
		t.Errorf("graph: got %+v, want %+v", got, want)
	}
}

func TestCostsDoNotOverflow(t *testing.T) {
	g := mustParse(t, `graph huge
input %x : float32[1,1048576,16777216,16]
param @w : float32[1,1048576,16777216,16]
%a = conv2d(%x, @w) padding=16777215,15,16777215,15 act=relu
%p = avg_pool(%x) kernel=16777216,16 padding=16777215,15,16777215,15
%m = max_pool(%x) kernel=16777216,16 padding=16777215,15,16777215,15
output %a
`)
	if got := g.Nodes[0].Cost(); got.MACs != math.MaxInt64 || got.FLOPs != math.MaxInt64 {
		t.Errorf("convolution: got %+v", got)
	}
	if got := g.Nodes[1].Cost(); got.FLOPs != math.MaxInt64 {
		t.Errorf("average pool: got %+v", got)
	}
	if got := g.Nodes[2].Cost(); got.FLOPs != math.MaxInt64 {
		t.Errorf("max-pool: got %+v", got)
	}
	if c := g.Cost(); c.MACs != math.MaxInt64 || c.FLOPs != math.MaxInt64 {
		t.Errorf("graph: got %+v", c)
	}
	// 2^61 bytes read and 2^60 written by each add, 2^60 bytes of each parameter.
	var b strings.Builder
	b.WriteString("graph wide\ninput %x : float32[288230376151711744]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "param @p%d : float32[288230376151711744]\n%%a%d = add(%%x, @p%d)\n", i, i, i)
	}
	b.WriteString("output %a8\n")
	want := graph.Cost{FLOPs: 9 << 58, ReadBytes: math.MaxInt64, WriteBytes: math.MaxInt64, Params: 9 << 58, ParamBytes: math.MaxInt64}
	if got := mustParse(t, b.String()).Cost(); got != want {
		t.Errorf("graph: got %+v, want %+v", got, want)
	}
}
