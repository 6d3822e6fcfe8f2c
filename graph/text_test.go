package graph_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// everyOp uses each op of the IR once, with attributes that are all different.
const everyOp = `graph every-op
input %x : float32[2,4,9,11]
param @w : float32[6,2,3,2]
param @b : float32[6]
param @g : float32[6]
param @mean : float32[6]
param @var : float32[6]
param @gg : float32[8]
param @fcw : float32[5,8]
param @fcb : float32[5]
%c = conv2d(%x, @w, @b) stride=2,1 padding=1,2,3,4 dilation=2,3 groups=2 bias=true : float32[2,6,5,14]
%bn = batch_norm(%c, @g, @b, @mean, @var) epsilon=0.001 : float32[2,6,5,14]
%c2 = conv2d(%x, @w, @b, %bn) stride=2,1 padding=1,2,3,4 dilation=2,3 groups=2 bias=true add=true act=relu : float32[2,6,5,14]
%r = relu(%c2) : float32[2,6,5,14]
%a = add(%r, %bn) : float32[2,6,5,14]
%mp = max_pool(%a) kernel=3,2 stride=2,3 padding=1,0,2,1 ceil_mode=true : float32[2,6,3,5]
%ap = avg_pool(%mp) kernel=2,3 padding=1,2,0,1 count_include_pad=true : float32[2,6,3,6]
%s = subsample(%ap) stride=2,3 : float32[2,6,2,2]
%cp = channel_pad(%s) after=2 : float32[2,8,2,2]
%gap = global_avg_pool(%cp) : float32[2,8,1,1]
%gt = gate(%cp, %gap, %cp) add=true act=relu : float32[2,8,2,2]
%gn = group_norm(%cp, @gg, @gg) groups=4 epsilon=1e-05 act=relu : float32[2,8,2,2]
%cat = concat(%gn, %cp) : float32[2,16,2,2]
%sl = channel_slice(%cat) begin=3 end=13 : float32[2,10,2,2]
%sp = spatial_pad(%sl) padding=1,0,1,1 reflect=true : float32[2,10,4,3]
%rs = reshape(%sp) to=30,2,2 : float32[2,30,2,2]
%sc = global_avg_pool(%rs) : float32[2,30,1,1]
%sa = split_attention(%rs, %sc, %sl) radix=3 groups=2 add=true act=relu : float32[2,10,2,2]
%f = flatten(%gap) : float32[2,8]
%fc = linear(%f, @fcw, @fcb) bias=true : float32[2,5]
%sm = softmax(%fc) : float32[2,5]
output %sm
output %bn
`

func TestTextParsesBackToTheSameText(t *testing.T) {
	g, err := graph.Parse(strings.NewReader(everyOp))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Validate(); err != nil {
		t.Error(err)
	}
	if got := g.Text(); got != everyOp {
		t.Errorf("got\n%s\nwant\n%s", got, everyOp)
	}
	used := map[string]bool{}
	for _, n := range g.Nodes {
		used[n.Op.Name()] = true
	}
	for _, name := range graph.OpNames() {
		if !used[name] {
			t.Errorf("op %s is missing from this test", name)
		}
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	const head = "graph g\n\n# a comment\ninput %x : float32[1,2,5,6]\n" // four lines
	for _, c := range []struct{ text, want string }{
		{"", `parse graph: want a line "graph NAME", got none`},
		{"# only a comment\n\n", `parse graph: want a line "graph NAME", got none`},
		{"\ninput %x : float32[1]\n", `parse graph: line 2: want "graph NAME" first, got "input %x : float32[1]"`},
		{"graph a b\n", `parse graph: line 1: build graph: name "a b": character ' ' at 1`},
		{"graph\n", `parse graph: line 1: build graph: name "": want 1 to 256 characters, got 0`},
		{head, `parse graph: build graph "g": want at least one input and one output, got 1 and 0`},
		{head + "graph g\n", `line 5: want input, param, output or a node, got "graph g"`},
		{head + "input x : float32[1]\n", `line 5: want "input %NAME : TYPE", got "x : float32[1]"`},
		{head + "param %p : float32[1]\n", `line 5: want "param @NAME : TYPE", got "%p : float32[1]"`},
		{head + "param @p\n", `line 5: want "param @NAME : TYPE", got "@p"`},
		{head + "input %y : float32\n", `line 5: input %y: parse tensor type "float32": want dtype[d0,d1,...]`},
		{head + "input %y : float31[1]\n", `line 5: input %y: parse tensor type "float31[1]": parse dtype: unknown name "float31"`},
		{head + "input %y : invalid[1]\n", `parse dtype: unknown name "invalid"`},
		{head + "input %y : float32[1\n", `parse shape "[1": want [d0,d1,...]`},
		{head + "input %y : float32[1,a]\n", `parse shape "[1,a]": dimension "a" is not a number`},
		{head + "input %y : float32[1,,2]\n", `parse shape "[1,,2]": dimension "" is not a number`},
		{head + "input %y : float32[1,-2]\n", `parse shape "[1,-2]": make shape [1 -2]: dimension 1 is negative`},
		{head + "input %y : float32[1,2,3,4,5,6,7]\n", `want at most 6 dimensions, got 7`},
		{head + "input %y : float32[0,4294967296,4294967296]\n", `make shape [0 4294967296 4294967296]: want at most 576460752303423487 elements, got more`},
		{head + "input %y : float32[99999999999999999999]\n", `dimension "99999999999999999999" is not a number`},
		{head + "input %x : float32[1]\n", `line 5: add input "x": the name is taken`},
		{head + "param @x : float32[1]\n", `line 5: add param "x": the name is taken`},
		{head + "input % : float32[1]\n", `line 5: add input: name ""`},
		{head + "output %y\n", `line 5: output "%y": no such value`},
		{head + "output @x\n", `line 5: output "@x": no such value`},
		{head + "%y relu(%x)\n", `line 5: want "%NAME = OP(INPUTS) ATTRS : TYPE", got "%y relu(%x)"`},
		{head + "%y = relu\n", `line 5: want "%NAME = OP(INPUTS) ATTRS : TYPE"`},
		{head + "%y = relu)%x(\n", `line 5: want "%NAME = OP(INPUTS) ATTRS : TYPE"`},
		{head + "%y = gelu(%x)\n", `line 5: node %y: unknown op "gelu"`},
		{head + "%y = relu(%z)\n", `line 5: node %y: input "%z": no such value`},
		{head + "%y = add(%x,%x)\n", `line 5: node %y: input "%x,%x": no such value`},
		{head + "%y = relu(%x) slope=1\n", `line 5: node %y: attribute "slope": relu has none of that name`},
		{head + "%y = subsample(%x) stride=2,2 stride=2,2\n", `line 5: node %y: attribute "stride": given twice`},
		{head + "%y = subsample(%x) stride\n", `line 5: node %y: attribute "stride": want key=value`},
		{head + "%y = subsample(%x) stride=2\n", `line 5: node %y: attribute "stride": want 2 numbers separated by commas, got "2"`},
		{head + "%y = subsample(%x) stride=2,x\n", `line 5: node %y: attribute "stride": want a number, got "x"`},
		{head + "%y = max_pool(%x) kernel=2,2 padding=1,1\n", `attribute "padding": want 4 numbers separated by commas, got "1,1"`},
		{head + "%y = max_pool(%x) kernel=2,2 ceil_mode=yes\n", `attribute "ceil_mode": want true or false, got "yes"`},
		{head + "%y = channel_pad(%x) before=\n", `attribute "before": want a number, got ""`},
		{head + "%y = batch_norm(%x) epsilon=small\n", `attribute "epsilon": want a number, got "small"`},
		{head + "%y = conv2d(%x) act=gelu\n", `attribute "act": want none or relu, got "gelu"`},
		{head + "%y = relu(%x) : float32[1,2,6,5]\n", `line 5: node "y" (relu): result: want float32[1,2,5,6], got float32[1,2,6,5]`},
		{head + "%y = relu(%x) : float16[1,2,5,6]\n", `line 5: node "y" (relu): result: want float32[1,2,5,6], got float16[1,2,5,6]`},
		{head + "%y = relu(%x) : float32[1\n", `line 5: node %y: parse tensor type "float32[1"`},
		{head + "%x = relu(%x)\n", `line 5: add node "x": the name is taken`},
		{head + "%y = linear(%x, %x)\n", `line 5: node "y" (linear): input 0: want [N,C] with C at least 1, got [1,2,5,6]`},
		{head + strings.Repeat("x", 1<<17), "parse graph: line 5: bufio.Scanner: token too long"},
	} {
		g, err := graph.Parse(strings.NewReader(c.text))
		if g != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%.200q: got a message of %d bytes", c.text, len(err.Error()))
		}
	}
}

func TestParseReportsShapeErrorsAsSuch(t *testing.T) {
	_, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[2,3]\n%y = global_avg_pool(%x)\noutput %y"))
	var se *graph.ShapeError
	if !errors.As(err, &se) || se.Node != "y" || se.Op != "global_avg_pool" || se.Attr != "input 0" || se.Want != "4 dimensions [N,C,H,W]" || se.Got != "[2,3]" {
		t.Errorf("got %+v of %v", se, err)
	}
}

func TestParseReportsAReaderThatFails(t *testing.T) {
	_, err := graph.Parse(&failing{})
	if !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "parse graph: line 2:") {
		t.Errorf("got %v", err)
	}
}

// failing gives one line and then an error.
type failing struct{ done bool }

func (f *failing) Read(p []byte) (int, error) {
	if f.done {
		return 0, os.ErrClosed
	}
	f.done = true
	return copy(p, "graph g\n"), nil
}

func TestDefaultsAndLooseSpellingsParse(t *testing.T) {
	g := mustParse(t, "graph g\r\n  input %x : float32[1,2,5,6]  \n%y = conv2d(%x, %x)   groups=1 stride=+1,01  dilation=1,1 act=none\noutput %y\noutput %y\n")
	want := "graph g\ninput %x : float32[1,2,5,6]\n%y = conv2d(%x, %x) : float32[1,1,1,1]\noutput %y\noutput %y\n"
	if got := g.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := g.Nodes[0].String(); got != "%y = conv2d(%x, %x) : float32[1,1,1,1]" {
		t.Errorf("node: got %s", got)
	}
	if got := graph.OpText(graph.MaxPool{Kernel: [2]int{3, 2}, Stride: [2]int{1, 1}, CeilMode: true}); got != "max_pool kernel=3,2 ceil_mode=true" {
		t.Errorf("op: got %s", got)
	}
}

// FuzzParse checks that what parses is a valid graph whose text parses to the same text, at any cost and batch size.
func FuzzParse(f *testing.F) {
	f.Add(everyOp)
	f.Add(smallNet)
	f.Add(applied("conv2d(float32[1,1,1073741824,268435456], float32[1048576,1,1,1])"))
	f.Add(applied("max_pool(float32[268435456,268435456,1,1]) kernel=16777216,1 padding=16777215,0,16777215,0"))
	f.Add(applied("linear(float32[1073741824,1], float32[1073741824,1])"))
	f.Add(applied("batch_norm(int8[2,0,4,5], float32[], float32[3], float32[3], float32[3]) epsilon=0x1p-1074"))
	golden, err := os.ReadFile("testdata/geometry.txt")
	if err != nil {
		f.Fatal(err)
	}
	for i, line := range bytes.Split(golden, []byte("\n")) {
		if i%20 == 1 {
			f.Add(applied(string(line)))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := graph.Parse(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "parse graph: ") {
				t.Errorf("got error %v", err)
			}
			return
		}
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		first := g.Text()
		again, err := graph.Parse(strings.NewReader(first))
		if err != nil {
			t.Fatalf("the text does not parse: %v\n%s", err, first)
		}
		if second := again.Text(); second != first {
			t.Fatalf("got\n%s\nafter\n%s", second, first)
		}
		if c := g.Cost(); c.MACs < 0 || c.FLOPs < c.MACs || c.ReadBytes < 0 || c.WriteBytes < 0 || c.Params < 0 || c.ParamBytes < c.Params {
			t.Errorf("got %+v", c)
		}
		for _, n := range []int{0, 3, 1 << 50} {
			if b, err := g.WithBatch(n); err == nil {
				if err := b.Validate(); err != nil {
					t.Errorf("batch %d: %v", n, err)
				}
			}
		}
	})
}
