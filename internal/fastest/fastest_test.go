package fastest

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// figures is a chooser whose devices have the speeds of the table, by name, and that counts how often it measures.
func figures(t *testing.T, dir string, speeds map[string]float64) (c Chooser, list []Candidate, measured *int, warnings *[]string) {
	t.Helper()
	measured, warnings = new(int), new([]string)
	names := make([]string, 0, len(speeds))
	for n := range speeds {
		names = append(names, n)
	}
	slices.Sort(names)
	var now string
	for _, n := range names {
		list = append(list, Candidate{
			Info: backend.DeviceInfo{Backend: "test", ID: n, Name: n, Driver: "1", Properties: map[string]string{"a": "b", "c": "d"}},
			Open: func(ctx context.Context) (backend.Device, error) {
				now = n
				return reference.New().Open(ctx, "cpu")
			},
		})
	}
	c = Chooser{Dir: dir, Version: "v1", Warn: func(err error) { *warnings = append(*warnings, err.Error()) }, Rate: func(context.Context, backend.Device) (float64, error) {
		*measured++
		if speeds[now] < 0 {
			return 0, backend.ErrDeviceLost
		}
		return speeds[now], nil
	}}
	return c, list, measured, warnings
}

func measure(t *testing.T, c Chooser, list []Candidate) []Rate {
	t.Helper()
	rates, err := c.Measure(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return rates
}

func TestFiguresAreKeptForTheSameDevicesAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	c, list, measured, warnings := figures(t, dir, map[string]float64{"x": 3e9, "y": 5e9})
	for range 3 {
		if r := measure(t, c, list); r[0].FLOPsPerSecond != 3e9 || r[1].FLOPsPerSecond != 5e9 {
			t.Errorf("got %v", r)
		}
	}
	if *measured != 2 {
		t.Errorf("%d measurements, want one a device", *measured)
	}
	changes := map[string]func(){
		"program":  func() { c.Version = "v2" },
		"driver":   func() { list[1].Info.Driver = "2" },
		"property": func() { list[0].Info.Properties = map[string]string{"a": "b", "c": "e"} },
		"order":    func() { slices.Reverse(list) },
		"device":   func() { list[0].Info.ID = "z" },
	}
	for name, change := range changes {
		*measured = 0
		change()
		measure(t, c, list)
		if *measured != 2 {
			t.Errorf("another %s: %d measurements, want 2", name, *measured)
		}
	}
	if len(*warnings) > 0 {
		t.Errorf("warnings: %q", *warnings)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func TestADamagedFileIsReportedAndReplaced(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string, data []byte) error{
		"cut": func(_ *testing.T, path string, data []byte) error {
			return os.WriteFile(path, data[:len(data)/2], 0o600)
		},
		"empty": func(_ *testing.T, path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"zero":  func(_ *testing.T, path string, data []byte) error { return replaceText(path, data, "3e+09", "0") },
		"text": func(_ *testing.T, path string, data []byte) error {
			return replaceText(path, data, "3000000000", `"fast"`)
		},
		"one":       func(_ *testing.T, path string, data []byte) error { return replaceText(path, data, "3000000000,", "") },
		"another's": func(_ *testing.T, path string, data []byte) error { return replaceText(path, data, "|x|", "|w|") },
		"long":      func(_ *testing.T, path string, _ []byte) error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) },
		"a folder": func(_ *testing.T, path string, _ []byte) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c, list, measured, warnings := figures(t, dir, map[string]float64{"x": 3e9, "y": 5e9})
			measure(t, c, list)
			files, err := filepath.Glob(filepath.Join(dir, "fastest-*.json"))
			if err != nil || len(files) != 1 {
				t.Fatalf("got files %v, %v", files, err)
			}
			data, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if name == "zero" {
				data = []byte(strings.ReplaceAll(string(data), "3000000000", "3e+09"))
			}
			if err := damage(t, files[0], data); err != nil {
				t.Fatal(err)
			}
			if r := measure(t, c, list); *measured != 4 || r[0].FLOPsPerSecond != 3e9 {
				t.Errorf("got %v after %d measurements, want new ones", r, *measured)
			}
			if len(*warnings) == 0 || !strings.Contains((*warnings)[0], files[0]) {
				t.Errorf("warnings %q, want one that names %s", *warnings, files[0])
			}
			if name == "a folder" {
				return // which cannot be replaced
			}
			if measure(t, c, list); *measured != 4 {
				t.Error("the file was not replaced")
			}
		})
	}
}

func replaceText(path string, data []byte, from, to string) error {
	if !strings.Contains(string(data), from) {
		return errors.New("no " + from + " in " + string(data))
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600)
}

func TestAFailureIsNotKept(t *testing.T) {
	speeds := map[string]float64{"x": -1, "y": 5e9, "z": 0}
	c, list, measured, _ := figures(t, t.TempDir(), speeds)
	for want := 3; want <= 6; want += 3 {
		r := measure(t, c, list)
		if !errors.Is(r[0].Err, backend.ErrDeviceLost) || r[1].Err != nil || r[2].Err == nil || *measured != want {
			t.Errorf("got %v after %d measurements", r, *measured)
		}
	}
	list[1].Open = func(context.Context) (backend.Device, error) { return nil, backend.ErrOutOfMemory }
	if r := measure(t, c, list); !errors.Is(r[1].Err, backend.ErrOutOfMemory) {
		t.Errorf("a device that does not open: got %v", r[1])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Measure(ctx, list); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestTimeRunsTheNetworkAndHoldsItsResult(t *testing.T) {
	d, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := Time(t.Context(), d); err != nil || !(got > 0) {
		t.Errorf("got %g, %v", got, err)
	}
	if _, err := Time(t.Context(), wrong{d}); err == nil || !strings.Contains(err.Error(), "want 72") {
		t.Errorf("a device that computes nothing: got %v", err)
	}
	open := func(context.Context) (backend.Device, error) { return wrong{d}, nil }
	rates, err := Chooser{}.Measure(t.Context(), []Candidate{{Open: open}})
	if err != nil || rates[0].Err == nil || rates[0].FLOPsPerSecond != 0 {
		t.Errorf("a device that computes nothing has the rate %+v, %v", rates, err)
	}
}

// TestTimeTakesALargerNetworkWhereOneIsOverAtOnce: a fast device is not judged by what its driver takes to begin, a slow one not kept busy.
func TestTimeTakesALargerNetworkWhereOneIsOverAtOnce(t *testing.T) {
	d, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for networks, flops := range map[int]float64{1: 4e9, 2: 20e9, 3: 1e12} { // the first, of 14 million operations, takes more than 2 ms at 4e9; of the second, of 231 million, at 20e9
		f := &paced{Device: d, flopsPerSecond: flops}
		if got, err := Time(t.Context(), f); err != nil || f.compiled != networks || got > flops || got < flops/100 {
			t.Errorf("%g operations a second: got %g after %d networks, %v; want %d networks", flops, got, f.compiled, err, networks)
		}
	}
	f := &paced{Device: d, flopsPerSecond: 1e12, right: 2}
	if _, err := Time(t.Context(), f); err == nil || !strings.Contains(err.Error(), "want 144") || f.compiled != 3 {
		t.Errorf("a device that is wrong with the largest network alone: got %v after %d networks", err, f.compiled)
	}
}

// paced is a device that knows the answers and takes its time.
type paced struct {
	backend.Device
	flopsPerSecond  float64
	compiled, right int // right: how many networks have the right result, 0 for all
}

func (p *paced) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := p.Device.Compile(ctx, g)
	p.compiled++
	_, channels, _, _ := g.Nodes[0].Inputs[0].Type.Shape.NCHW()
	value := float32(channels) * 9 * 0.25
	if p.right > 0 && p.compiled > p.right {
		value = 1
	}
	return &known{Executable: e, value: value, takes: time.Duration(float64(g.Cost().FLOPs) / p.flopsPerSecond * 1e9)}, err
}

type known struct {
	backend.Executable
	value   float32
	takes   time.Duration
	written bool // by the first run, which is not timed
}

func (k *known) Run(ctx context.Context, _, outputs []backend.Buffer) error {
	if k.written {
		time.Sleep(k.takes)
		return nil
	}
	k.written = true
	data := make([]byte, outputs[0].Type().SizeBytes())
	for i := 0; i < len(data); i += 4 {
		binary.LittleEndian.PutUint32(data[i:], math.Float32bits(k.value))
	}
	return outputs[0].Write(ctx, data)
}

// wrong is a device whose executables do nothing.
type wrong struct{ backend.Device }

func (w wrong) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := w.Device.Compile(ctx, g)
	return idle{e}, err
}

type idle struct{ backend.Executable }

func (idle) Run(context.Context, []backend.Buffer, []backend.Buffer) error { return nil }

// FuzzFile: whatever a file says, what is read of it are figures that can be compared.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"devices":["v1|test|x|x|1||map[]"],"flops_per_second":[3e9]}`))
	f.Add([]byte(`{"devices":["v1|test|x|x|1||map[]"],"flops_per_second":[-1]}`))
	f.Add([]byte(`{"devices":null,"flops_per_second":[1e999]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Chooser{Dir: t.TempDir(), Version: "v1"}
		file := c.file([]Candidate{{Info: backend.DeviceInfo{Backend: "test", ID: "x", Name: "x", Driver: "1"}}})
		if err := os.WriteFile(file.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		rates, err := file.read(1)
		if (rates == nil) == (err == nil) {
			t.Fatalf("got %v and error %v, want one of them", rates, err)
		}
		for _, r := range rates {
			if len(rates) != 1 || !(r.FLOPsPerSecond > 0) || r.Err != nil {
				t.Errorf("got %v of %q", rates, data)
			}
		}
	})
}
