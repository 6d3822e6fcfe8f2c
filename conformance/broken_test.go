package conformance_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// fault is a way in which a backend is wrong.
type fault struct {
	name   string
	filter string // cases that are enough to show it
	want   string // what the message of one of them must name
	least  int    // how many must fail

	damage      func(s graph.Shape, y []float32)                 // of each output, after a right run
	run         func(ctx context.Context, d *brokenDevice) error // before the right run; an error is returned
	ignoresCtx  bool
	supports    func(n *graph.Node, truth error) error
	compile     func(g *graph.Graph) error
	beyond      bool                            // writes to a buffer that is not the run's
	overwrites  bool                            // writes to its input
	sometimes   bool                            // other bits in each seventh run
	keepsOutput func(s graph.Shape, i int) bool // elements that are not written
	racy        bool                            // wrong when two runs overlap
	inPlace     bool                            // lets an output be an input too
	eager       bool                            // writes to its outputs before it looks at the buffers
	hospitable  bool                            // takes buffers of other devices
	sticky      bool                            // reads the inputs of its first run again and again
}

// A device of the reference with a fault.
type brokenDevice struct {
	backend.Device
	fault
	mu       sync.Mutex
	made     []backend.Buffer
	runs     int
	elements int // that were put out
	inFlight atomic.Int32
}

func (d *brokenDevice) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	b, err := d.Device.NewBuffer(ctx, t)
	if err == nil {
		d.mu.Lock()
		d.made = append(d.made, b)
		d.mu.Unlock()
	}
	return b, err
}

func (d *brokenDevice) Supports(n *graph.Node) error {
	err := d.Device.Supports(n)
	if d.supports != nil {
		return d.supports(n, err)
	}
	return err
}

func (d *brokenDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if d.compile != nil {
		if err := d.compile(g); err != nil {
			return nil, err
		}
	}
	e, err := d.Device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	return &brokenExecutable{Executable: e, d: d}, nil
}

type brokenExecutable struct {
	backend.Executable
	d     *brokenDevice
	first []backend.Buffer
}

// otherwise are the buffers that a device takes which does not look at those it is given.
func (e *brokenExecutable) otherwise(in, out []backend.Buffer) (newIn, newOut []backend.Buffer) {
	if e.d.inPlace {
		out = append([]backend.Buffer(nil), out...)
		for i, b := range out {
			if b != nil && (slices.Contains(in, b) || slices.Contains(out[:i], b)) {
				out[i], _ = e.d.Device.NewBuffer(context.Background(), b.Type()) // the reference has memory
			}
		}
	}
	if e.d.hospitable {
		in, out = e.d.adopted(in), e.d.adopted(out)
	}
	if e.d.eager {
		for _, b := range out {
			if b != nil {
				writeFloats(b, make([]float32, b.Type().Shape.Elems()))
			}
		}
	}
	if e.d.sticky {
		if e.first == nil {
			e.first = in
		}
		in = e.first
	}
	return in, out
}

// adopted has buffers of the device in place of those that another one made.
func (d *brokenDevice) adopted(list []backend.Buffer) []backend.Buffer {
	list = slices.Clone(list)
	for i, b := range list {
		d.mu.Lock()
		mine := slices.Contains(d.made, b)
		d.mu.Unlock()
		if b != nil && !mine {
			list[i], _ = d.Device.NewBuffer(context.Background(), b.Type()) // the reference has memory
		}
	}
	return list
}

func (e *brokenExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	d := e.d
	if d.run != nil {
		if err := d.run(ctx, d); err != nil {
			return err
		}
	}
	if d.ignoresCtx {
		ctx = context.WithoutCancel(ctx)
	}
	if d.racy {
		defer d.inFlight.Add(-1)
		if d.inFlight.Add(1) > 1 {
			time.Sleep(time.Millisecond)
		}
	}
	in, out = e.otherwise(in, out)
	before := make([][]float32, len(out))
	for i, b := range out {
		if b != nil {
			before[i] = readFloats(b)
		}
	}
	if err := e.Executable.Run(ctx, in, out); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs++
	for i, b := range out {
		y := readFloats(b)
		d.spoil(b.Type().Shape, y, before[i])
		writeFloats(b, y)
	}
	if d.overwrites && in[0].Type().Shape.Elems() > 0 {
		x := readFloats(in[0])
		x[0]++
		writeFloats(in[0], x)
	}
	if d.beyond {
		d.writeBeyond(in, out)
	}
	return nil
}

func (d *brokenDevice) spoil(s graph.Shape, y, before []float32) {
	if d.damage != nil {
		d.damage(s, y)
	}
	if d.keepsOutput != nil {
		for i := range y {
			if d.keepsOutput(s, i) {
				y[i] = before[i]
			}
		}
	}
	if len(y) > 0 && (d.sometimes && d.runs%7 == 0 || d.racy && d.inFlight.Load() > 1) {
		y[0] = math.Float32frombits(math.Float32bits(y[0]) ^ 1)
	}
	d.elements += len(y)
}

// writeBeyond changes one element of the last buffer made that the run does not have.
func (d *brokenDevice) writeBeyond(in, out []backend.Buffer) {
	for i := len(d.made) - 1; i >= 0; i-- {
		b, mine := d.made[i], false
		for _, o := range append(append([]backend.Buffer(nil), in...), out...) {
			mine = mine || o == b
		}
		if !mine && b.Type().Shape.Elems() > 0 {
			y := readFloats(b)
			y[0] = 0
			writeFloats(b, y)
			return
		}
	}
}

func readFloats(b backend.Buffer) []float32 {
	data := make([]byte, b.Type().SizeBytes())
	if err := b.Read(context.Background(), data); err != nil {
		return nil // a closed buffer: the run will say so
	}
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

func writeFloats(b backend.Buffer, v []float32) {
	data := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(x))
	}
	_ = b.Write(context.Background(), data) // as above
}

// planes calls f for each plane of an activation.
func planes(s graph.Shape, y []float32, f func(h, w int, plane []float32)) {
	if s.Rank() != 4 || s.Elems() == 0 {
		return
	}
	_, _, h, w := s.NCHW()
	for at := 0; at < len(y); at += h * w {
		f(h, w, y[at:][:h*w])
	}
}

const somePlanes = `^conv2d/n2-c17-h9-w7-k19-g1/r3-s3-stride1,1.*/bias-add-relu/(integers|onehot|equal|cancel)$|^add/n2-c33-h28|^conv2d/n.-c65-h5-w7-k65-`

var isSoftmax = func(n *graph.Node) bool { return n.Op.Name() == "softmax" }

var faults = []fault{
	{name: "none", filter: somePlanes + "|contract|^replay/25/softmax|concurrent/softmax|cancel|relu/n2-c5"},
	{name: "one element in a million", filter: "^relu/n1-c16-h256-w257/ordinary$", want: "1 of 1052672 elements are out of bounds: one element; worst at [0 15 51 12]", least: 1,
		damage: func(_ graph.Shape, y []float32) {
			if len(y) > 1e6 {
				y[1e6-1] += 1e-6
			}
		}},
	{name: "rows shifted", filter: somePlanes, want: "rows shifted by one", least: 4, damage: func(s graph.Shape, y []float32) {
		planes(s, y, func(_, w int, p []float32) { copy(p, p[w:]) })
	}},
	{name: "axes swapped", filter: somePlanes, want: "rows and columns swapped", least: 4, damage: func(s graph.Shape, y []float32) {
		planes(s, y, func(h, w int, p []float32) {
			right := append([]float32(nil), p...)
			for i := range p {
				p[i] = right[i%h*w+i/h]
			}
		})
	}},
	{name: "channel tail dropped", filter: somePlanes, want: "not written", least: 3, keepsOutput: func(s graph.Shape, i int) bool {
		if s.Rank() != 4 {
			return false
		}
		_, c, h, w := s.NCHW()
		return i/(h*w)%c >= c&^3
	}},
	{name: "channel tail zero", filter: somePlanes, want: "zero, tail of channels from 16 of 19", least: 3, damage: func(s graph.Shape, y []float32) {
		if s.Rank() != 4 {
			return
		}
		_, c, h, w := s.NCHW()
		for i := range y {
			if i/(h*w)%c >= c&^3 {
				y[i] = 0
			}
		}
	}},
	{name: "every fourth channel", filter: "^add/n2-c33-h28", want: "every 4. of channels from 0", least: 2, damage: func(s graph.Shape, y []float32) {
		_, c, h, w := s.NCHW()
		for i := range y {
			if i/(h*w)%c%4 == 0 {
				y[i] = 3*y[i] + float32(i)
			}
		}
	}},
	{name: "a tile", filter: "^add/n2-c33-h28", want: "tile-shaped in [0:1,4:8,", least: 2, damage: func(s graph.Shape, y []float32) {
		_, _, h, w := s.NCHW()
		for i := 4 * h * w; i < 8*h*w; i++ {
			y[i] = 3*y[i] + float32(i)
		}
	}},
	{name: "constant offset", filter: somePlanes, want: "constant offset 0.5", least: 4, damage: func(_ graph.Shape, y []float32) {
		for i := range y {
			y[i] += 0.5
		}
	}},
	{name: "constant factor", filter: "^add/n2-c33-h28", want: "constant factor 2", least: 2, damage: func(_ graph.Shape, y []float32) {
		for i := range y {
			y[i] *= 2
		}
	}},
	{name: "zero", filter: "^add/n2-c33-h28", want: "zero", least: 2, damage: func(_ graph.Shape, y []float32) { clear(y) }},
	{name: "a NaN", filter: somePlanes, want: "NaN, one element", least: 4, damage: func(_ graph.Shape, y []float32) {
		if len(y) > 0 {
			y[len(y)/2] = float32(math.NaN())
		}
	}},
	{name: "NaN dropped", filter: "^relu/n2-c5-h7-w9/nan$", want: "zero", least: 1, damage: func(_ graph.Shape, y []float32) {
		for i, v := range y {
			if v != v {
				y[i] = 0
			}
		}
	}},
	{name: "computes in place", filter: "^alias/", want: "want an error, got none", least: 11, inPlace: true},
	{name: "writes before it looks", filter: "^(alias/(refused|in-place)|contract/run)/", want: "was written to by a run that was refused", least: 10, eager: true},
	{name: "takes buffers of other devices", filter: "^contract/run/.*-another-device$", want: "of-another-device: want an error, got none", least: 3, hospitable: true},
	{name: "remembers its first buffers", filter: "^buffers/(chain|.*/conv2d)", want: "other", least: 3, sticky: true},
	{name: "context ignored in run", filter: "^cancel/before$", want: "cancel: run with a cancelled context", least: 1, ignoresCtx: true},
	{name: "supports claims too much", filter: "^softmax/n3-c33/", want: "supports: every node is supported, but compile failed", least: 2,
		compile: func(g *graph.Graph) error {
			if isSoftmax(g.Nodes[len(g.Nodes)-1]) {
				return backend.Unsupported("op", "another", "softmax")
			}
			return nil
		}},
	{name: "supports claims too little", filter: "^softmax/n3-c33/", want: "supports: a refused node compiled", least: 2,
		supports: func(n *graph.Node, truth error) error {
			if isSoftmax(n) {
				return backend.Unsupported("op", "another", "softmax")
			}
			return truth
		}},
	{name: "supports refuses in the wrong way", filter: "^softmax/n3-c33/", want: "want an error that wraps backend.ErrUnsupported", least: 2,
		supports: func(*graph.Node, error) error { return fmt.Errorf("no") }},
	{name: "writes out of bounds", filter: somePlanes, want: "out of bounds: fence", least: 4, beyond: true},
	{name: "writes to its input", filter: somePlanes, want: "input 0 was written to", least: 4, overwrites: true},
	{name: "other bits in some runs", filter: "^replay/25/conv2d$", want: "replay: run 6 gives other bits", least: 1, sometimes: true},
	{name: "other bits beside others", filter: "^concurrent/(conv2d|softmax)$", want: "a run among others gives other bits", least: 1, racy: true},
	{name: "panics", filter: "^softmax/n3-c33/", want: "panic: out of range", least: 2, run: func(context.Context, *brokenDevice) error { panic("out of range") }},
	{name: "does not come back", filter: "^softmax/n3-c33/ordinary", want: "hung: no return within", least: 1, run: func(context.Context, *brokenDevice) error {
		time.Sleep(400 * time.Millisecond) // the patience of the test is 200
		return nil
	}},
	{name: "waits for its context", filter: "^softmax/n3-c33/ordinary", want: "no result within 100ms", least: 1, run: func(ctx context.Context, _ *brokenDevice) error {
		<-ctx.Done()
		return ctx.Err()
	}},
	{name: "runs fail", filter: "^softmax/n3-c33/", want: "run: device lost", least: 2, run: func(context.Context, *brokenDevice) error { return backend.ErrDeviceLost }},
}

// TestBrokenBackendsAreCaught wraps the reference, once for each way in which backends go wrong: the suite must fail,
// and say what is wrong.
func TestBrokenBackendsAreCaught(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if testing.Short() && (f.damage != nil || f.keepsOutput != nil || f.want == "") {
				t.Skip("wrong numbers: one goroutine, much arithmetic")
			}
			opened := 0
			open := func(ctx context.Context) (backend.Device, error) {
				opened++
				d, err := reference.New().Open(ctx, "cpu")
				return &brokenDevice{Device: d, fault: f}, err
			}
			o := conformance.Options{Filter: f.filter}
			if strings.Contains(f.want, "100ms") || strings.Contains(f.want, "hung") {
				o.Timeout = 100 * time.Millisecond
			}
			named := f.want == ""
			var messages []string
			s, err := conformance.Execute(t.Context(), open, o, func(r conformance.Result) error {
				if r.Err != nil {
					messages = append(messages, r.Case.Name+": "+r.Err.Error())
					named = named || strings.Contains(r.Err.Error(), f.want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if f.want == "" && (s.Failed > 0 || s.Run < 30) || s.Failed < f.least || !named || (conformance.Verdict(s, true) == nil) != (f.want == "") {
				t.Errorf("got %v, want at least %d failures, one with %q, got:\n%s", s, f.least, f.want, strings.Join(messages, "\n"))
			}
			if f.name == "runs fail" && opened != s.Failed {
				t.Errorf("opened %d devices, want a new one after each loss: %d", opened, s.Failed)
			}
		})
	}
}
