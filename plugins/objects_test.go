package plugins

import (
	"context"
	"errors"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// opened is a fake with device 1, buffers 2 and 3 and executable 4.
func opened(t *testing.T, f *fake) (context.Context, pb.BackendClient, *service) {
	t.Helper()
	ctx := limited(t)
	c, s := connect(t, f)
	noErrors(t, open(ctx, c, 1, "one"), buffer(ctx, c, 1, 2, graph.F32(2)), buffer(ctx, c, 1, 3, graph.F32(2)))
	if _, err := compileGraph(ctx, c, 1, 4, relu(t, 2)); err != nil {
		t.Fatal(err)
	}
	return ctx, c, s
}

func TestIDs(t *testing.T) {
	ctx, c, _ := opened(t, &fake{})
	compiled := func(device, id uint64) error {
		_, err := compileGraph(ctx, c, device, id, relu(t, 2))
		return err
	}
	readErr := func(id uint64) error {
		_, err := read(ctx, c, id, nil)
		return err
	}
	noErrors(t, closeObject(ctx, c, 20)) // before it is made
	for what, c := range map[string]struct{ got, want error }{
		"a device with the id 0":             {open(ctx, c, 0, "one"), wire.ErrInvalid},
		"a device with a buffer's id":        {open(ctx, c, 2, "one"), wire.ErrInvalid},
		"a buffer with its device's id":      {buffer(ctx, c, 1, 1, graph.F32(2)), wire.ErrInvalid},
		"an executable with the id 0":        {compiled(1, 0), wire.ErrInvalid},
		"a buffer on a device that is not":   {buffer(ctx, c, 9, 10, graph.F32(2)), backend.ErrClosed},
		"a buffer on a buffer":               {buffer(ctx, c, 2, 10, graph.F32(2)), wire.ErrInvalid},
		"a graph on an executable":           {compiled(4, 10), wire.ErrInvalid},
		"a run of a buffer":                  {run(ctx, c, 2, []uint64{2}, []uint64{3}), wire.ErrInvalid},
		"a run with a device":                {run(ctx, c, 4, []uint64{1}, []uint64{3}), wire.ErrInvalid},
		"a run of nothing":                   {run(ctx, c, 9, []uint64{2}, []uint64{3}), backend.ErrClosed},
		"a run with a buffer that is not":    {run(ctx, c, 4, []uint64{2}, []uint64{9}), backend.ErrClosed},
		"a run with its input as output":     {run(ctx, c, 4, []uint64{2}, []uint64{2}), wire.ErrInvalid},
		"a run with an output twice":         {run(ctx, c, 4, []uint64{2}, []uint64{3, 3}), wire.ErrInvalid},
		"reading what is not":                {readErr(9), backend.ErrClosed},
		"reading an executable":              {readErr(4), wire.ErrInvalid},
		"a buffer that was closed before it": {buffer(ctx, c, 1, 20, graph.F32(2)), backend.ErrClosed},
		"the same once more":                 {buffer(ctx, c, 1, 20, graph.F32(2)), backend.ErrClosed},
		"closing what is not":                {closeObject(ctx, c, 9), nil},
	} {
		if c.want == nil && c.got != nil || c.want != nil && !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", what, c.got, c.want)
		}
	}
	noErrors(t, run(ctx, c, 4, []uint64{2}, []uint64{3}), buffer(ctx, c, 1, 10, graph.F32(2)))
}

func TestClosingADeviceClosesWhatWasMadeOnItFirst(t *testing.T) {
	f := &fake{closes: make(chan string, 10)}
	ctx, c, _ := opened(t, f)
	noErrors(t, closeObject(ctx, c, 1))
	for _, want := range []string{"buffer", "buffer", "executable", "device"} {
		if got := <-f.closes; got != want {
			t.Errorf("got %s closed, want %s", got, want)
		}
	}
	noErrors(t, closeObject(ctx, c, 1), closeObject(ctx, c, 2), closeObject(ctx, c, 4))
	if len(f.closes) > 0 {
		t.Errorf("%s was closed twice", <-f.closes)
	}
}

// TestCloseOvertakesACancelledCompile: the host gives up a compilation that takes no notice, and closes what it may make.
func TestCloseOvertakesACancelledCompile(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	f := &fake{closes: make(chan string, 10)}
	ctx, c, _ := opened(t, f)
	f.compile = func(context.Context) error {
		close(begun)
		<-goOn
		return nil
	}
	given, giveUp := context.WithCancel(ctx)
	compiled := make(chan error)
	go func() {
		_, err := compileGraph(given, c, 1, 5, relu(t, 2))
		compiled <- err
	}()
	<-begun
	giveUp()
	if err := <-compiled; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call: got %v", err)
	}
	closed := make(chan error)
	go func() { closed <- closeObject(ctx, c, 5) }()
	if err := run(ctx, c, 5, nil, nil); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("a run of what is being made: got %v", err)
	}
	select {
	case err := <-closed:
		t.Errorf("closed while it was being made: %v", err)
	default:
	}
	close(goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := <-f.closes; got != "executable" {
		t.Errorf("got %s closed, want the executable that nobody knows", got)
	}
}

// TestBuffersTakeTurns: after a cancelled run that takes no notice, a write to its buffer waits for the run's end.
func TestBuffersTakeTurns(t *testing.T) {
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	f := &fake{}
	ctx, c, s := opened(t, f)
	f.run = func(context.Context) error {
		begun <- struct{}{}
		<-goOn
		return nil
	}
	given, giveUp := context.WithCancel(ctx)
	ran := make(chan error)
	go func() { ran <- run(given, c, 4, []uint64{2, 2}, []uint64{3}) }()
	<-begun
	giveUp()
	if err := <-ran; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled run: got %v", err)
	}
	for id := range uint64(2) {
		s.objects.mu.Lock()
		if turn := s.objects.all[id+2].turn; len(turn) != 1 {
			t.Errorf("buffer %d is free while it is in use", id+2)
		}
		s.objects.mu.Unlock()
	}
	// One that cannot wait gives up, and leaves the turn as it is.
	short, cancel := context.WithCancel(ctx)
	waiting := make(chan error)
	go func() { waiting <- write(short, c, writeStart(2, nil), chunk(make([]byte, 8))) }()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a call that gave up waiting: got %v", err)
	}
	written := make(chan error)
	go func() { written <- write(ctx, c, writeStart(2, nil), chunk([]byte("12345678"))) }()
	select {
	case err := <-written:
		t.Errorf("written while the buffer is in use: %v", err)
	default:
	}
	close(goOn)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if got, err := read(ctx, c, 2, nil); err != nil || string(got) != "12345678" {
		t.Errorf("got %q, %v, want what was written", got, err)
	}
}

func TestCloseWaitsForTheCallThatUsesTheObject(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	f := &fake{closes: make(chan string, 10)}
	ctx, c, s := opened(t, f)
	f.run = func(context.Context) error {
		close(begun)
		<-goOn
		return nil
	}
	ran, closed := make(chan error), make(chan error)
	go func() { ran <- run(ctx, c, 4, []uint64{2}, []uint64{3}) }()
	<-begun
	given, giveUp := context.WithCancel(ctx)
	giveUp()
	if err := s.objects.close(given, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("a Close that gave up: got %v", err)
	}
	go func() { closed <- closeObject(ctx, c, 1) }()
	if len(f.closes) > 0 {
		t.Errorf("%s was closed in the middle of a run", <-f.closes)
	}
	close(goOn)
	noErrors(t, <-ran, <-closed)
	if len(f.closes) != 4 {
		t.Errorf("got %d objects closed, want 4", len(f.closes))
	}
}

func TestTheEndClosesEverythingOrGivesUp(t *testing.T) {
	f := &fake{closes: make(chan string, 10)}
	ctx, c, s := opened(t, f)
	noErrors(t, open(ctx, c, 30, "one"), s.objects.closeAll(ctx))
	if len(f.closes) != 5 {
		t.Errorf("got %d objects closed, want 5", len(f.closes))
	}

	stuck := &fake{closes: make(chan string)} // nobody receives: Close hangs
	_, _, s = opened(t, stuck)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.objects.closeAll(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a backend that does not close: got %v", err)
	}
	for range 4 {
		<-stuck.closes
	}
}

func TestWhatIsClosedWithoutNeedIsForgottenAtLast(t *testing.T) {
	var objects objects
	for id := range uint64(maxEarly + 10) {
		noErrors(t, objects.close(t.Context(), id+1), objects.close(t.Context(), id+1))
	}
	if len(objects.early) != maxEarly || len(objects.order) != maxEarly {
		t.Errorf("got %d and %d ids remembered, want %d", len(objects.early), len(objects.order), maxEarly)
	}
	if _, err := objects.reserve(maxEarly+10, nil); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("the latest: got %v", err)
	}
	if _, err := objects.reserve(1, nil); err != nil {
		t.Errorf("the oldest: got %v", err)
	}
}

// TestACancelledCallGetsNoTurn, also when the buffer is free: a call that comes later has been given it.
func TestACancelledCallGetsNoTurn(t *testing.T) {
	o := &object{turn: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // of two ways that are open Go takes either
		if err := o.take(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	noErrors(t, o.take(t.Context()))
}
