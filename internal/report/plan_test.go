package report

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/schedule"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// imaginary is a device that nobody has.
type imaginary struct {
	backend.Device
	info    backend.DeviceInfo
	refuses []string
}

func (d imaginary) Info() backend.DeviceInfo { return d.info }

func (d imaginary) Supports(n *graph.Node) error {
	if slices.Contains(d.refuses, n.Op.Name()) {
		return backend.Unsupported("op", "another", n.Op.Name())
	}
	return d.Device.Supports(n)
}

// examplePlan is that of a network on a GPU without max-pool and linear layers, with a CPU for those.
func examplePlan(t *testing.T, split schedule.Split) *schedule.Plan {
	t.Helper()
	member := func(name string, kind backend.DeviceType, refuses ...string) schedule.Member {
		d, err := reference.New().Open(context.Background(), "cpu")
		if err != nil {
			t.Fatal(err)
		}
		return schedule.Member{Name: name, Device: imaginary{d, backend.DeviceInfo{Backend: name, ID: name, Name: "an imaginary " + name, Type: kind}, refuses}}
	}
	d, err := schedule.New(schedule.Options{
		Devices: []schedule.Member{member("gpu", backend.IntegratedGPU, "max_pool", "linear")}, Fallback: member("cpu", backend.CPU), Split: split,
	})
	batch := 4
	if split == schedule.ByBatch {
		batch = 8
		d, err = schedule.New(schedule.Options{Devices: []schedule.Member{member("a \"GPU\" <1>", backend.IntegratedGPU), member("cpu", backend.CPU)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c, err := resnet.Lookup("resnet18")
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Build(batch, 224, 224)
	if err == nil {
		g, err = pass.Run(g, pass.Default())
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Plan(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanTable(t *testing.T) {
	for _, c := range []struct {
		split schedule.Split
		want  string
	}{{schedule.ByGraph, `SAMPLES    PART  DEVICE  NODES  FIRST           LAST     GFLOP         IN        OUT     TIME
0-3, by 1     1  gpu         1  relu            relu     0.238  588.0 KiB    3.1 MiB   525 µs
0-3, by 1     2  cpu         1  maxpool         maxpool  0.002    3.1 MiB  784.0 KiB   221 µs
0-3, by 1     3  gpu        21  layer1.0.relu1  flatten  3.395  784.0 KiB    2.0 KiB  6.86 ms
0-3, by 1     4  cpu         1  fc              fc       0.001    2.0 KiB    3.9 KiB   123 µs

graph     resnet18, batch 4, split by graph
estimate  32.3 ms a run, copies included; no allowed placement is estimated faster
device    gpu, chosen: an imaginary gpu; does not support 2 nodes
device    cpu, fallback: an imaginary cpu
fallback  maxpool fc
`}, {schedule.ByBatch, `SAMPLES  PART  DEVICE       NODES  FIRST  LAST   GFLOP         IN       OUT     TIME
0-6         1  a "GPU" <1>     24  relu   fc    25.447    4.0 MiB  27.3 KiB  51.8 ms
7           1  cpu             24  relu   fc     3.635  588.0 KiB   3.9 KiB  36.7 ms
`}} {
		var b strings.Builder
		if err := WritePlan(&b, Table, examplePlan(t, c.split)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), c.want) {
			t.Errorf("got\n%swant\n%s", &b, c.want)
		}
	}
}

func TestPlanForPrograms(t *testing.T) {
	for _, split := range []schedule.Split{schedule.ByGraph, schedule.ByBatch} {
		p := examplePlan(t, split)
		var j, d, s strings.Builder
		if err := errors.Join(WritePlan(&j, JSON, p), WritePlan(&d, DOT, p), WritePlan(&s, SVG, p)); err != nil {
			t.Fatal(err)
		}
		var back schedule.Plan
		if err := json.Unmarshal([]byte(j.String()), &back); err != nil || back.Split != p.Split || len(back.Routes) != len(p.Routes) || back.Nanos != p.Nanos {
			t.Errorf("JSON: %v, got %+v", err, back)
		}
		parts := 0
		for _, r := range p.Routes {
			parts += len(r.Parts)
		}
		if n := strings.Count(d.String(), "nodes\\n"); n != parts || strings.Count(d.String(), "{") != strings.Count(d.String(), "}") || !strings.Contains(d.String(), "-> p0_") {
			t.Errorf("DOT: got %d boxes, want %d:\n%s", n, parts, &d)
		}
		titles := 0
		for dec := xml.NewDecoder(strings.NewReader(s.String())); ; {
			token, err := dec.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("SVG: %v", err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "title" {
				titles++
			}
		}
		transfers := 0
		for _, r := range p.Routes {
			for _, part := range r.Parts {
				transfers += len(part.In) + len(part.Out)
			}
		}
		if titles != parts+transfers {
			t.Errorf("SVG: got %d blocks, want %d", titles, parts+transfers)
		}
	}
}

// TestThePictureOfTheDocumentation is up to date, and so is the table beside it; -update draws the picture anew.
func TestThePictureOfTheDocumentation(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	path, p := filepath.Join(docs, "scheduler.svg"), examplePlan(t, schedule.ByGraph)
	got := planSVG(p)
	page, err := os.ReadFile(filepath.Join(docs, "scheduler.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := WritePlan(&table, Table, p); err != nil || !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/scheduler.md has another table than the program writes (%v):\n%s", err, &table)
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/scheduler.svg is not what the program draws: go test ./internal/report -update")
	}
}

func TestDurations(t *testing.T) {
	for ns, want := range map[int64]string{0: "0 ns", 999: "999 ns", 1000: "1 µs", 1234567: "1.23 ms", 2e9: "2 s"} {
		if got := duration(ns); got != want {
			t.Errorf("%d: got %s, want %s", ns, got, want)
		}
	}
}
