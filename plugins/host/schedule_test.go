//go:build unix

package host

import (
	"bytes"
	"log/slog"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/schedule"
)

// TestAPluginThatDiesIsReplaced: where there is a fallback, a run during which the process ends is done again elsewhere, once, and
// whoever reads the log is told once.
func TestAPluginThatDiesIsReplaced(t *testing.T) {
	for _, n := range []int{4, 1 << 18} { // within the messages, and in shared memory
		b, w := start(t, "exits", patient)
		own, err := cpu.New(cpu.Options{}).Open(t.Context(), "cpu")
		if err != nil {
			t.Fatal(err)
		}
		book := &logBook{}
		d, err := schedule.New(schedule.Options{
			Devices: []schedule.Member{{Name: "plugin", Device: openDevice(t, b)}}, Fallback: schedule.Member{Name: "cpu", Device: own},
			Logger: slog.New(slog.NewTextHandler(book, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		g := relu(t, n)
		e, err := d.Compile(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		x, y := newBuffer(t, d, g.Inputs[0].Type), newBuffer(t, d, g.Inputs[0].Type)
		for i := range 3 {
			want, got := floats(slices.Repeat([]float32{float32(i + 1)}, n)), make([]byte, 4*n)
			if err := x.Write(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			if err := e.Run(t.Context(), []backend.Buffer{x}, []backend.Buffer{y}); err != nil {
				t.Fatalf("run %d: %v, the plugin's log:\n%s", i, err, w.log)
			}
			if err := y.Read(t.Context(), got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("run %d: %v, got % x..., want % x...", i, err, got[:4], want[:4])
			}
		}
		if lines := bytes.Count([]byte(book.String()), []byte("\n")); lines != 1 || !book.has("level=WARN", "plugin exited", "it ended with status 7") {
			t.Errorf("got log\n%s\nwant one line about the plugin", book)
		}
		if b.now.alive() == nil {
			t.Error("the plugin still lives")
		}
		closeIt(t, x)
		closeIt(t, y)
		closeIt(t, e)
		closeIt(t, d)
	}
}
