package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
)

// spy is the reference device with a memory that holds batches of up to most, which notes what is compiled and run.
type spy struct {
	backend.Device
	most      int
	gpu       bool // it says so
	noBuffers bool
	mu        sync.Mutex
	compiled  []int
	open      atomic.Int64 // executables and buffers that are not closed
	written   atomic.Int64 // inputs
	run       func(context.Context) error
}

func newSpy(t *testing.T, most int) *spy {
	t.Helper()
	d, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	return &spy{Device: d, most: most}
}

func (s *spy) Info() backend.DeviceInfo {
	info := s.Device.Info()
	if s.gpu {
		info.Type = backend.DiscreteGPU
	}
	return info
}

func (s *spy) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	batch := g.Inputs[0].Type.Shape.Dim(0)
	s.mu.Lock()
	s.compiled = append(s.compiled, batch)
	s.mu.Unlock()
	if batch > s.most {
		return nil, fmt.Errorf("compile graph: %w", backend.ErrOutOfMemory)
	}
	e, err := s.Device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	s.open.Add(1)
	return &spyExecutable{e, s}, nil
}

func (s *spy) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if s.noBuffers {
		return nil, fmt.Errorf("make buffer: %w", backend.ErrOutOfMemory)
	}
	b, err := s.Device.NewBuffer(ctx, t)
	if err == nil {
		s.open.Add(1)
	}
	return spyBuffer{b, s}, err
}

type spyBuffer struct {
	backend.Buffer
	s *spy
}

func (b spyBuffer) Write(ctx context.Context, src []byte) error {
	b.s.written.Add(1)
	return b.Buffer.Write(ctx, src)
}

func (b spyBuffer) Close() error { b.s.open.Add(-1); return b.Buffer.Close() }

type spyExecutable struct {
	backend.Executable
	s *spy
}

func (e *spyExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if e.s.run != nil {
		if err := e.s.run(ctx); err != nil {
			return err
		}
	}
	return e.Executable.Run(ctx, unwrap(in), unwrap(out))
}

func unwrap(list []backend.Buffer) []backend.Buffer {
	all := make([]backend.Buffer, len(list))
	for i, b := range list {
		all[i] = b.(spyBuffer).Buffer
	}
	return all
}

func (e *spyExecutable) Close() error { e.s.open.Add(-1); return e.Executable.Close() }

func colour(t *testing.T) *model.Model {
	t.Helper()
	m, err := model.Load(t.Context(), modeltest.WriteModel(t, t.TempDir()), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func picture(name string, data []byte) pictures.Picture {
	return pictures.Picture{Name: name, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// list makes pictures by letters: r, g, b are colours, x is damaged, e is an input that could not be found.
func list(t *testing.T, letters string) []pictures.Picture {
	t.Helper()
	var all []pictures.Picture
	for i, l := range letters {
		name := fmt.Sprintf("%d%c", i, l)
		switch l {
		case 'r':
			all = append(all, picture(name, modeltest.PNG(t, modeltest.Red, 8, 8)))
		case 'g':
			all = append(all, picture(name, modeltest.PNG(t, modeltest.Green, 9, 30)))
		case 'b':
			all = append(all, picture(name, modeltest.PNG(t, modeltest.Blue, 30, 9)))
		case 'x':
			all = append(all, picture(name, []byte("damaged")))
		default:
			all = append(all, pictures.Picture{Name: name, Err: errors.New("not found")})
		}
	}
	return all
}

// letters turns results back into the letters of list, x for any error.
func letters(m *model.Model, results []Result) string {
	var b strings.Builder
	for _, r := range results {
		if r.Err != nil {
			b.WriteByte('x')
			continue
		}
		top, err := m.Top(r.Logits(), 1)
		if err != nil || top[0].Logit != modeltest.Scale {
			b.WriteByte('?')
			continue
		}
		b.WriteByte(top[0].Label[0])
	}
	return b.String()
}

func TestResultsComeInOrderWhateverFails(t *testing.T) {
	m := colour(t)
	for _, want := range []string{"r", "rgb", "rgbrgbrgbrg", "xrgbx", "rxxxxgb", "xxxxxxxx", "ggggbbbbxrrrx", strings.Repeat("rgbxbgr", 9)} {
		for _, batch := range []int{1, 2, 4, 7} {
			t.Run(fmt.Sprintf("%.13s/batch%d", want, batch), func(t *testing.T) {
				dev := newSpy(t, 99)
				dev.gpu = batch%2 == 0 // several runs at once
				r, err := NewRunner(t.Context(), dev, m, nil, batch, len(want))
				if err != nil {
					t.Fatal(err)
				}
				var results []Result
				in := list(t, want)
				times, err := Run(t.Context(), r, in, Options{}, func(r Result) error { results = append(results, r); return nil })
				if err != nil {
					t.Fatal(err)
				}
				if got := letters(m, results); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				for i := range results {
					if results[i].Picture.Name != in[i].Name {
						t.Errorf("result %d is that of %s", i, results[i].Picture.Name)
					}
				}
				if sum := times.Backend + times.Waiting + times.Compile; sum > times.Wall || times.Decode <= 0 || times.Workers < 1 {
					t.Errorf("the parts %v of the times %+v exceed the whole", sum, times)
				}
				if err := r.Close(); err != nil || dev.open.Load() != 0 {
					t.Errorf("close: %v, and %d executables and buffers are open", err, dev.open.Load())
				}
				if sizes := slices.Compact(slices.Sorted(slices.Values(dev.compiled))); len(sizes) != len(dev.compiled) || len(sizes) > 4 {
					t.Errorf("compiled for %v, want few sizes, each once", dev.compiled)
				}
			})
		}
	}
}

func TestSizeHalvesTheBatch(t *testing.T) {
	r := &Runner{batch: 7}
	for n, want := range map[int]int{7: 7, 5: 7, 4: 4, 3: 4, 2: 2, 1: 1} {
		if got := r.size(n); got != want {
			t.Errorf("%d pictures: got size %d, want %d", n, got, want)
		}
	}
	if got := (&Runner{batch: 1}).size(1); got != 1 {
		t.Errorf("batch 1: got size %d", got)
	}
}

func TestOutOfMemory(t *testing.T) {
	m := colour(t)
	dev := newSpy(t, 3)
	r, err := NewRunner(t.Context(), dev, m, nil, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if want := AutoBatch(dev.Info(), m.Side); want != 16 || r.MaxBatch() != 2 {
		t.Errorf("got batch %d, want %d halved until it fits into 3", r.MaxBatch(), want)
	}
	if err := r.Close(); err != nil || dev.open.Load() != 0 {
		t.Errorf("close: %v, %d open", err, dev.open.Load())
	}
	_, err = NewRunner(t.Context(), dev, m, nil, 8, 1000)
	if !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "batch 8") || !strings.Contains(err.Error(), "--batch 4") {
		t.Errorf("got %v, want out of memory for batch 8 and the advice to try 4", err)
	}
	if _, err = NewRunner(t.Context(), newSpy(t, 0), m, nil, 0, 9); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("no memory at all: got %v", err)
	}
}

// TestALastShortBatchRunsWhereNothingMoreFits: on the executable that is there.
func TestALastShortBatchRunsWhereNothingMoreFits(t *testing.T) {
	m := colour(t)
	dev := newSpy(t, 99)
	r, err := NewRunner(t.Context(), dev, m, nil, 8, 11)
	if err != nil {
		t.Fatal(err)
	}
	dev.most = 0 // from now on
	var results []Result
	if _, err := Run(t.Context(), r, list(t, "rgbrgbrgbrg"), Options{}, func(r Result) error { results = append(results, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := letters(m, results); got != "rgbrgbrgbrg" {
		t.Errorf("got %s", got)
	}
	if err := r.Close(); err != nil || dev.open.Load() != 0 {
		t.Errorf("close: %v, %d open", err, dev.open.Load())
	}
}

func TestNothingIsLeftOpenWhenThereIsNoRoomForBuffers(t *testing.T) {
	dev := newSpy(t, 99)
	dev.noBuffers = true
	if _, err := NewRunner(t.Context(), dev, colour(t), nil, 0, 9); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("got %v, want out of memory", err)
	}
	if n := dev.open.Load(); n != 0 {
		t.Errorf("%d executables are open", n)
	}
}

func TestAutoBatchIsNoLargerThanTheWork(t *testing.T) {
	r, err := NewRunner(t.Context(), newSpy(t, 99), colour(t), nil, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.MaxBatch() != 2 {
		t.Errorf("got batch %d for 2 pictures", r.MaxBatch())
	}
}

// TestInputsAreWrittenDuringRuns lets each run but the last wait until the next batch was written.
func TestInputsAreWrittenDuringRuns(t *testing.T) {
	const batches = 5
	dev := newSpy(t, 99)
	dev.gpu = true
	var runs atomic.Int64
	dev.run = func(ctx context.Context) error {
		run := runs.Add(1)
		for deadline := time.Now().Add(10 * time.Second); dev.written.Load() < min(run+1, batches); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("during run %d: %d inputs were written, want one more than runs", run, dev.written.Load())
			}
		}
		return nil
	}
	r, err := NewRunner(t.Context(), dev, colour(t), nil, 2, 2*batches)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), r, list(t, strings.Repeat("rg", batches)), Options{}, func(Result) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if runs.Load() != batches {
		t.Errorf("got %d runs, want %d", runs.Load(), batches)
	}
}

// TestOneBufferIsEnough has memory for the buffers of one run.
func TestOneBufferIsEnough(t *testing.T) {
	dev := newSpy(t, 99)
	dev.gpu = true
	m := colour(t)
	r, err := NewRunner(t.Context(), dev, m, nil, 2, 9)
	if err != nil {
		t.Fatal(err)
	}
	dev.noBuffers = true
	var results []Result
	if _, err := Run(t.Context(), r, list(t, "rgbbgrrb"), Options{}, func(r Result) error { results = append(results, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := letters(m, results); got != "rgbbgrrb" {
		t.Errorf("got %s", got)
	}
}

func TestErrorsOfDeviceAndReceiverEndTheRun(t *testing.T) {
	m := colour(t)
	lost := fmt.Errorf("run: %w", backend.ErrDeviceLost)
	full := errors.New("disk full")
	before := runtime.NumGoroutine()
	for _, test := range []struct {
		name      string
		run, emit error
	}{{"device", lost, nil}, {"receiver", nil, full}} {
		dev := newSpy(t, 99)
		dev.run = func(context.Context) error { return test.run }
		r, err := NewRunner(t.Context(), dev, m, nil, 2, 99)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Run(t.Context(), r, list(t, strings.Repeat("rgb", 20)), Options{}, func(Result) error { return test.emit })
		if want := errors.Join(test.run, test.emit); !errors.Is(want, err) && !errors.Is(err, lost) {
			t.Errorf("%s: got %v, want %v", test.name, err, want)
		}
	}
	waitForGoroutines(t, before)
}

func TestCancelReturnsPromptlyAndLeavesNoGoroutine(t *testing.T) {
	m := colour(t)
	before := runtime.NumGoroutine()
	for _, where := range []string{"in the device", "in a picture"} {
		t.Run(where, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			dev := newSpy(t, 99)
			r, err := NewRunner(ctx, dev, m, nil, 2, 99)
			if err != nil {
				t.Fatal(err)
			}
			in := list(t, strings.Repeat("rgb", 40))
			block := func(ctx context.Context) error {
				cancel()
				<-ctx.Done()
				return ctx.Err()
			}
			if where == "in the device" {
				dev.run = block
			} else {
				in[7].Open = func(ctx context.Context) (io.ReadCloser, error) { return nil, block(ctx) }
			}
			start := time.Now()
			_, err = Run(ctx, r, in, Options{}, func(Result) error { return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
			dev.run = nil
			var results []Result
			for range 2 { // with all its buffers
				if _, err := Run(t.Context(), r, list(t, "rgbrgb"), Options{}, func(r Result) error { results = append(results, r); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if got := letters(m, results); got != "rgbrgbrgbrgb" {
				t.Errorf("after that: got %s", got)
			}
			if err := r.Close(); err != nil || dev.open.Load() != 0 {
				t.Errorf("close: %v, %d open", err, dev.open.Load())
			}
		})
	}
	waitForGoroutines(t, before)
}

func waitForGoroutines(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, want %d", runtime.NumGoroutine(), want)
		}
	}
}

// TestMemoryIsBounded has far more pictures than fit into the batches in flight and counts those that were opened
// before the first result was taken.
func TestMemoryIsBounded(t *testing.T) {
	m := colour(t)
	var opened atomic.Int64
	data := modeltest.PNG(t, modeltest.Red, 8, 8)
	in := make([]pictures.Picture, 300)
	for i := range in {
		in[i] = pictures.Picture{Open: func(context.Context) (io.ReadCloser, error) {
			opened.Add(1)
			return io.NopCloser(bytes.NewReader(data)), nil
		}}
	}
	dev := newSpy(t, 99)
	var most int64
	dev.run = func(context.Context) error {
		if most == 0 {
			time.Sleep(50 * time.Millisecond) // the workers run as far ahead as they are let
			most = opened.Load()
		}
		return nil
	}
	r, err := NewRunner(t.Context(), dev, m, nil, 4, len(in))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), r, in, Options{}, func(Result) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if limit := int64(4 * (batchesInFlight + r.flights)); most > limit || most <= 4 {
		t.Errorf("%d pictures were opened during the first run, want more than its own 4 and at most %d", most, limit)
	}
	if opened.Load() != int64(len(in)) {
		t.Errorf("%d pictures were opened, want %d", opened.Load(), len(in))
	}
}
