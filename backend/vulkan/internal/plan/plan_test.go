package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
)

// network builds a member of the family, after the passes, without weights.
func network(t *testing.T, name string, batch int) *graph.Graph {
	t.Helper()
	c, err := resnet.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Build(batch, c.InputSize, c.InputSize)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		t.Fatal(err)
	}
	return g
}

func parse(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func build(t *testing.T, lim Limits, opt Options, g *graph.Graph) *Plan {
	t.Helper()
	p, err := Build(lim, opt, g)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// devices are imaginary devices at the edges of what the specification allows, and the two everyday software drivers.
func devices() map[string]Limits {
	lavapipe := Floor()
	lavapipe.MinStorageBufferOffsetAlignment = 16
	lavapipe.MaxComputeWorkGroupInvocations, lavapipe.MaxComputeWorkGroupSize = 1024, [3]uint32{1024, 1024, 1024}
	lavapipe.SoftwareDriver, lavapipe.SubgroupSize, lavapipe.SubgroupQuad, lavapipe.MaxTexelBufferElements = true, 8, true, 1<<27
	swiftshader := Floor()
	swiftshader.SoftwareDriver, swiftshader.SubgroupSize, swiftshader.SubgroupQuad, swiftshader.MaxTexelBufferElements = true, 4, true, 65536
	big := Floor()
	big.MaxStorageBufferRange = 1<<32 - 1
	big.MaxMemoryAllocationSize = 1 << 40
	big.MaxComputeSharedMemorySize, big.SubgroupSize = 48<<10, 32
	tiny := Floor()
	tiny.MaxStorageBufferRange = 1 << 20
	tiny.MaxMemoryAllocationSize = 2 << 20
	tiny.MaxComputeWorkGroupCount = [3]uint32{1024, 1024, 64}
	return map[string]Limits{"floor": Floor(), "lavapipe": lavapipe, "swiftshader": swiftshader, "big GPU": big, "tiny": tiny}
}

// TestPlansOfTheFamilyAreSound holds every plan against what must be true whatever the planner decided.
func TestPlansOfTheFamilyAreSound(t *testing.T) {
	for device, lim := range devices() {
		for _, name := range []string{"resnet18", "resnet50", "resnet152", "resnext50_32x4d", "resnet20-cifar", "resnet20-cifar-b", "resnet18-cifar"} {
			for _, batch := range []int{1, 7} {
				t.Run(fmt.Sprintf("%s/%s/%d", device, name, batch), func(t *testing.T) {
					if device == "tiny" && !strings.Contains(name, "20") {
						t.Skip("larger than this device can hold: see TestTooLargeForTheDevice")
					}
					checkPlan(t, lim, build(t, lim, Options{}, network(t, name, batch)))
				})
			}
		}
	}
}

// TestWeightsOfSeveralPages has a device whose allocations are smaller than the weights of a network are together.
func TestWeightsOfSeveralPages(t *testing.T) {
	lim := devices()["lavapipe"]
	lim.MaxMemoryAllocationSize = 20 << 20
	p := build(t, lim, Options{Direct: true}, network(t, "resnet18", 1))
	checkPlan(t, lim, p)
	if len(p.PageBytes) < 3 {
		t.Errorf("pages of %v bytes, want at least 3 for 45 MB", p.PageBytes)
	}
}

func checkPlan(t *testing.T, lim Limits, p *Plan) {
	t.Helper()
	if p.ArenaBytes > lim.MaxMemoryAllocationSize {
		t.Errorf("arena of %d bytes is above the limit %d", p.ArenaBytes, lim.MaxMemoryAllocationSize)
	}
	if slack := 8 * lim.alignment(); float64(p.ArenaBytes) > 1.15*float64(p.LiveBytes)+float64(slack) {
		t.Errorf("arena of %d bytes, want at most 1.15 times the largest live set of %d, but for alignment", p.ArenaBytes, p.LiveBytes)
	}
	for i, bytes := range p.PageBytes {
		if bytes > lim.MaxMemoryAllocationSize {
			t.Errorf("page %d of weights has %d bytes, above the limit %d", i, bytes, lim.MaxMemoryAllocationSize)
		}
	}
	for i, s := range p.Steps {
		v := s.Variant
		if len(s.Bindings) != v.Bindings || 4*len(s.Push) != v.PushBytes || len(s.Spec) != len(v.Spec) {
			t.Errorf("step %d (%s): %d bindings, %d words of push constants, %d constants: not what %s wants", i, s.Node, len(s.Bindings), len(s.Push), len(s.Spec), v.Name)
		}
		if len(s.Spec) > 0 && v.LocalSize == 0 && (s.Spec[0] < 1 || s.Spec[0] > lim.MaxComputeWorkGroupInvocations) {
			t.Errorf("step %d (%s): local size %d", i, s.Node, s.Spec[0])
		}
		for j := range 3 {
			if s.Groups[j] < 1 || s.Groups[j] > lim.MaxComputeWorkGroupCount[j] {
				t.Errorf("step %d (%s): workgroups %v, want 1 to %v", i, s.Node, s.Groups, lim.MaxComputeWorkGroupCount)
			}
		}
		for _, r := range s.Bindings {
			checkRef(t, lim, p, r)
		}
	}
	for i, w := range p.Weights {
		for _, o := range p.Weights[:i] {
			if o.Page == w.Page && o.Offset < w.Offset+w.sizeBytes() && w.Offset < o.Offset+o.sizeBytes() {
				t.Errorf("weights of %s and %s overlap", o.Node, w.Node)
			}
		}
	}
	checkHazards(t, p)
}

func checkRef(t *testing.T, lim Limits, p *Plan, r Ref) {
	t.Helper()
	if r.Size == 0 || r.Size > lim.MaxStorageBufferRange || r.Offset%lim.alignment() != 0 {
		t.Errorf("binding %v breaks a limit: range %d, alignment %d", r, lim.MaxStorageBufferRange, lim.MinStorageBufferOffsetAlignment)
	}
	switch r.Space {
	case ArenaSpace:
		if r.Offset+r.Size > p.ArenaBytes {
			t.Errorf("binding %v is outside the arena of %d bytes", r, p.ArenaBytes)
		}
	case WeightSpace:
		if r.Offset+r.Size > p.PageBytes[r.Index] {
			t.Errorf("binding %v is outside its page of %d bytes", r, p.PageBytes[r.Index])
		}
	}
}

// checkHazards replays the commands with a memory of every byte range: whoever reads must find a barrier since the
// last write, and whoever writes a barrier since the last access. It shares no code with track.
func checkHazards(t *testing.T, p *Plan) {
	t.Helper()
	type access struct {
		ref   Ref
		write bool
		epoch int
	}
	var log []access
	epoch := 0
	touch := func(at int, c Command, r Ref, write bool) {
		for _, a := range log {
			same := a.ref.Space == r.Space && a.ref.Index == r.Index
			apart := a.ref.Offset+a.ref.Size <= r.Offset || r.Offset+r.Size <= a.ref.Offset
			if same && !apart && (write || a.write) && a.epoch == epoch {
				t.Errorf("command %d (%v): no barrier since %v was accessed", at, c, a.ref)
			}
		}
		log = append(log, access{r, write, epoch})
	}
	for i, c := range p.Commands {
		switch c := c.(type) {
		case Barrier:
			epoch++
			log = log[:0]
		case Copy:
			touch(i, c, c.Src, false)
			touch(i, c, c.Dst, true)
		case Dispatch:
			for j, r := range c.Step.Bindings {
				touch(i, c, r, j == len(c.Step.Bindings)-1)
			}
		}
	}
	if b, ok := p.Commands[len(p.Commands)-1].(Barrier); !ok || !b.Host {
		t.Errorf("the last command is %v, want a barrier for the host", p.Commands[len(p.Commands)-1])
	}
}

// TestNoTensorIsOverwrittenWhileItIsNeeded follows the data: each step must find in its bindings what the nodes that
// the graph names wrote there last.
func TestNoTensorIsOverwrittenWhileItIsNeeded(t *testing.T) {
	for device, lim := range devices() {
		for _, name := range []string{"resnet20-cifar", "resnet20-cifar-b"} {
			for _, batch := range []int{1, 5} {
				t.Run(fmt.Sprintf("%s/%s/%d", device, name, batch), func(t *testing.T) {
					g := network(t, name, batch)
					checkData(t, g, build(t, lim, Options{MaxChunk: 2}, g))
				})
			}
		}
	}
}

func checkData(t *testing.T, g *graph.Graph, p *Plan) {
	t.Helper()
	root := roots(g)
	owner := map[Ref]string{} // who wrote each range last; ranges of one tensor are always the same
	write := func(r Ref, who string) {
		for o := range owner {
			if o.overlaps(r) {
				delete(owner, o)
			}
		}
		owner[r] = who
	}
	for _, c := range p.Commands {
		switch c := c.(type) {
		case Copy:
			who := owner[c.Src]
			if c.Src.Space == InputSpace {
				who = g.Inputs[c.Src.Index].Name
			}
			if c.Dst.Space == OutputSpace && c.Dst.Size > 0 {
				want := root[g.Outputs[c.Dst.Index]].Name
				if !prefixOwner(owner, c.Src, want) {
					t.Errorf("%v: want the value of %q", c, want)
				}
			}
			whole := wholeOf(p, c.Dst)
			if c.Src.Space == InputSpace { // the place of the input for a whole part of the batch
				whole.Size = uint64(g.Inputs[c.Src.Index].Type.SizeBytes() / p.Batch * p.Chunk)
			}
			write(whole, who)
		case Dispatch:
			n := g.Value(c.Step.Node).Node
			var want []string
			for _, v := range n.Inputs {
				if v.Kind != graph.ParamValue {
					want = append(want, root[v].Name)
				}
			}
			want = append(want, n.Name) // in another format, or what another kernel of the node made
			for _, r := range c.Step.reads() {
				if r.Space == WeightSpace {
					continue
				}
				who := owner[r]
				if r.Space == InputSpace {
					who = g.Inputs[r.Index].Name
				}
				if !slices.Contains(want, who) {
					t.Errorf("%v reads %v, which holds %q, want one of %q", c, r, who, want)
				}
			}
			write(c.Step.write(), c.Step.Node)
		}
	}
}

// prefixOwner reports whether the range is, or begins, one that who wrote.
func prefixOwner(owner map[Ref]string, r Ref, who string) bool {
	for o, w := range owner {
		if w == who && o.Space == r.Space && o.Index == r.Index && o.Offset == r.Offset && r.Size <= o.Size {
			return true
		}
	}
	return false
}

// wholeOf widens the copied part of a tensor in the arena (the last part of a batch) to the place of the tensor: the
// smallest one that begins there and holds it.
func wholeOf(p *Plan, dst Ref) Ref {
	best := Ref{}
	for _, s := range p.Steps {
		for _, r := range s.Bindings {
			if r.Space == dst.Space && r.Index == dst.Index && r.Offset == dst.Offset && r.Size >= dst.Size && (best.Size == 0 || r.Size < best.Size) {
				best = r
			}
		}
	}
	if best.Size == 0 {
		return dst
	}
	return best
}

func TestBatchIsSplitEvenlyToFitLimits(t *testing.T) {
	lim := Floor()
	g := network(t, "resnet18", 64) // the stem's result: 64·64·112·112·4 bytes = 205 MB > 128 MiB
	p := build(t, lim, Options{}, g)
	if p.Chunk != 32 || !p.HasCopies {
		t.Errorf("chunk %d, copies %v: want 2 parts of 32, through the arena", p.Chunk, p.HasCopies)
	}
	checkPlan(t, lim, p)
	p = build(t, lim, Options{MaxChunk: 10}, g)
	if got := countNode(p, "maxpool"); p.Chunk != 10 || got != 7 {
		t.Errorf("chunk %d, the pool dispatched %d times: want 10 and 7", p.Chunk, got)
	}
	checkPlan(t, lim, p)
	last := p.Commands[len(p.Commands)-2].(Copy)
	if one := uint64(1000 * 4); last.Dst != (Ref{OutputSpace, 0, 60 * one, 4 * one}) {
		t.Errorf("last copy %v: want the last 4 of 64 pictures", last)
	}
}

func countNode(p *Plan, name string) int {
	n := 0
	for _, c := range p.Commands {
		if d, ok := c.(Dispatch); ok && d.Step.Node == name {
			n++
		}
	}
	return n
}

func TestTooLargeForTheDevice(t *testing.T) {
	lim := devices()["tiny"]
	_, err := Build(lim, Options{}, network(t, "resnet50", 1))
	if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), "maxStorageBufferRange") {
		t.Errorf("got %v, want a refusal that names maxStorageBufferRange", err)
	}
	lim = Floor()
	lim.MaxMemoryAllocationSize = 160 << 10 // the largest weights have 148 KB, three tensors of the first stage 196 KB
	_, err = Build(lim, Options{}, network(t, "resnet20-cifar", 1))
	if !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "maxMemoryAllocationSize") {
		t.Errorf("got %v, want out of memory that names maxMemoryAllocationSize", err)
	}
	lim.MaxMemoryAllocationSize = 140 << 10
	_, err = Build(lim, Options{}, network(t, "resnet20-cifar", 1))
	if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), "weights: want at most 143360 bytes") {
		t.Errorf("got %v, want a refusal of weights that no allocation holds", err)
	}
}

func TestBatchOfTooManyParts(t *testing.T) {
	g := parse(t, "graph g\ninput %x : float32[1125899906842624,1]\n%y = relu(%x)\noutput %y\n")
	_, err := Build(Floor(), Options{}, g)
	if !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "at most 1048576 commands") {
		t.Errorf("got %v, want out of memory that names the commands", err)
	}
	many := parse(t, "graph g\ninput %x : float32[1099511627776,1]\n%y = relu(%x)\noutput %y\n")
	if p := build(t, Floor(), Options{}, many); p.Batch/p.Chunk != 32768 {
		t.Errorf("got parts of %d, want 32768 parts", p.Chunk)
	}
}

func TestSupportsAgreesWithBuild(t *testing.T) {
	lim := Floor()
	for _, c := range []struct{ name, node, attr string }{
		{"float16", "%y = relu(%x)", "input 0"},
		{"weights beyond the range", "%y = linear(%x, @w)", "input 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ := map[string]string{"float16": "float16[1,4]"}[c.name]
			if typ == "" {
				typ = "float32[1,40000]"
			}
			g := parse(t, "graph g\ninput %x : "+typ+"\nparam @w : float32[40000,40000]\n"+c.node+"\noutput %y\n")
			one := Supports(lim, Options{}, g.Nodes[0])
			if !errors.Is(one, backend.ErrUnsupported) || !strings.Contains(one.Error(), c.attr) {
				t.Errorf("Supports: got %v, want a refusal that names %s", one, c.attr)
			}
			if _, err := Build(lim, Options{}, g); !errors.Is(err, backend.ErrUnsupported) {
				t.Errorf("Build: got %v, want a refusal", err)
			}
		})
	}
	// A batch is no obstacle.
	big := parse(t, "graph g\ninput %x : float32[100,64,512,512]\n%y = relu(%x)\noutput %y\n")
	if err := Supports(lim, Options{}, big.Nodes[0]); err != nil {
		t.Errorf("large batch: got %v, want it supported", err)
	}
	if p := build(t, lim, Options{}, big); p.Chunk != 2 {
		t.Errorf("large batch: chunk %d, want 2", p.Chunk)
	}
}

func TestOutputsThatAreNotWrittenInPlaceAreCopied(t *testing.T) {
	g := parse(t, `graph g
input %x : float32[2,3,4,5]
%r = relu(%x) : float32[2,3,4,5]
%f = flatten(%r) : float32[2,60]
output %f
output %r
output %x
`)
	p := build(t, Floor(), Options{}, g)
	want := `batch 2 chunk 2 arena 0 live 0 weights []
dispatch r relu_f32 2x1x1 in0[0:480] out0[0:480]
barrier
copy out1[0:480] <- out0[0:480]
copy out2[0:480] <- in0[0:480]
barrier host
`
	if got := p.Dump(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzBuild plans graphs in text form for small and large devices. A plan must be sound, a refusal one of the contract.
func FuzzBuild(f *testing.F) {
	for _, text := range []string{
		"graph g\ninput %x : float32[3,2,9,9]\nparam @w : float32[4,1,3,3]\n%c = conv2d(%x, @w) groups=2 stride=2,2 act=relu\n%p = max_pool(%c) kernel=2,2\n%f = flatten(%p)\noutput %f\noutput %c\n",
		"graph g\ninput %x : float32[2,3]\nparam @w : float32[2,3]\n%y = add(%x, @w)\noutput %y\n",
		"graph g\ninput %x : float32[0,3]\ninput %z : float32[2,3]\n%y = relu(%x)\n%s = softmax(%z)\noutput %y\noutput %s\n",
		"graph g\ninput %x : float32[3]\n%f = flatten(%x)\noutput %f\noutput %x\n",
	} {
		f.Add(text, uint8(0))
		f.Add(text, uint8(2))
	}
	f.Fuzz(func(t *testing.T, text string, chunk uint8) {
		g, err := graph.Parse(strings.NewReader(text))
		if err != nil || batchOf(g) > 4096 { // a plan of a million commands takes a while
			return
		}
		for name, lim := range devices() {
			p, err := Build(lim, Options{MaxChunk: int(chunk)}, g)
			if err != nil {
				if !errors.Is(err, backend.ErrUnsupported) && !errors.Is(err, backend.ErrOutOfMemory) {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if len(p.Commands) > 0 && len(p.Commands) < 1000 {
				checkPlan(t, lim, p)
			}
		}
	})
}

func TestEmptyBatchDoesNothing(t *testing.T) {
	p := build(t, Floor(), Options{}, network(t, "resnet20-cifar", 0))
	if len(p.Commands) != 0 {
		t.Errorf("got %v, want no commands", p.Commands)
	}
}

func names(list []Candidate) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}
