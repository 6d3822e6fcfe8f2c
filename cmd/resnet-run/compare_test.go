package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/report"
)

// bentBackend is the reference with one value of one node that is not as it should be, wherever that node is an output.
type bentBackend struct {
	backend.Backend
	node string
}

func (bentBackend) Name() string { return "bent" }

func (b bentBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := b.Backend.Open(ctx, id)
	return bentDevice{d, b.node}, err
}

type bentDevice struct {
	backend.Device
	node string
}

func (d bentDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	return bentExecutable{e, d.node}, err
}

type bentExecutable struct {
	backend.Executable
	node string
}

func (e bentExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	err := e.Executable.Run(ctx, in, out)
	for i, p := range e.Signature().Outputs {
		if p.Name == e.node && err == nil {
			data := make([]byte, p.Type.SizeBytes())
			err = out[i].Read(ctx, data)
			data[7] ^= 0x40 // a bit of the exponent of the second element
			err = errors.Join(err, out[i].Write(ctx, data))
		}
	}
	return err
}

// compared runs the command with the colour network, in a folder that has it.
func compared(t *testing.T, args ...string) outcome {
	t.Helper()
	backends := []backend.Backend{noVulkan, reference.New(), cpu.New(cpu.Options{}), bentBackend{reference.New(), "layer1.0.relu2"}}
	return run(t, t.Context(), strings.NewReader(""), map[string]string{"RESNET_RUN_MODEL": "colour.safetensors"}, backends, append([]string{"compare"}, args...)...)
}

func TestCompareRightDevices(t *testing.T) {
	world(t)
	for _, input := range [][]string{{"--image", "pictures/red.png"}, {"--input", "random:18446744073709551615"}, nil} {
		o := compared(t, append(input, "cpu", "reference")...)
		if o.code != exitOK || !strings.Contains(o.stdout, "verdict   all 6 nodes are within their bounds on both\n") || strings.Count(o.stdout, "\nlayer1.0.relu") != 2 || strings.Contains(o.stdout, "first wrong") {
			t.Errorf("%v: got %+v", input, o)
		}
	}
}

func TestCompareFindsTheFirstWrongLayer(t *testing.T) {
	world(t)
	o := compared(t, "--format", "json", "bent", "cpu")
	var c report.Comparison
	if err := json.Unmarshal([]byte(o.stdout), &c); err != nil {
		t.Fatalf("%v: %+v", err, o)
	}
	f := c.Sides[0].Fault
	if o.code != exitNotConformant || c.Agree || c.Sides[1].Fault != nil || f == nil || f.Node != "layer1.0.relu2" || f.Hidden || f.Worst.Failed != 1 || len(f.Worst.Place) != 4 || f.Worst.Place[3] != 1 || c.Nodes[f.Index].Sides[0].OK || !c.Nodes[f.Index-1].Sides[0].OK {
		t.Errorf("got exit code %d, fault %+v", o.code, f)
	}
	for side, args := range map[string][]string{"A": {"bent:0", "cpu"}, "B": {"cpu", "bent:0"}} {
		o := compared(t, args...)
		if o.code != exitNotConformant || !strings.Contains(o.stderr, `bent:0: node "layer1.0.relu2" (conv2d), 3 of 6, is the first that leaves its bound`) || !strings.Contains(o.stdout, "<- first wrong on "+side+"\n") {
			t.Errorf("%v: got %+v", args, o)
		}
	}
	o = compared(t, "--format", "csv", "bent", "cpu")
	rows, err := csv.NewReader(strings.NewReader(o.stdout)).ReadAll()
	if err != nil || len(rows) != 1+2*6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	wrong := 0
	for _, r := range rows[1:] {
		if r[len(r)-1] == "true" {
			wrong++
			if r[1] != "layer1.0.relu2" || r[4] != "A" || r[6] != "false" {
				t.Errorf("got %v", r)
			}
		}
	}
	if wrong != 1 {
		t.Errorf("%d rows are the first wrong one", wrong)
	}
	o = compared(t, "--format", "html", "--passes", "before", "bent", "cpu")
	for _, want := range []string{"A layer leaves its bound", "first wrong on A: layer1.0.relu2", "<svg", "the bound", "colour.safetensors", "random:1"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	o = compared(t, "--format", "svg", "bent", "cpu")
	for d := xml.NewDecoder(strings.NewReader(o.stdout)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
	if !strings.HasPrefix(o.stdout, "<svg xmlns=") || !strings.Contains(o.stdout, "first wrong on A: layer1.0.relu2") {
		t.Errorf("got %.300s", o.stdout)
	}
}

func TestCompareUsage(t *testing.T) {
	world(t)
	for _, test := range []struct {
		args, want string
		code       int
	}{
		{"cpu", "accepts 2 arg", exitUsage},
		{"cpu reference bent", "accepts 2 arg", exitUsage},
		{"cpu cuda", `select backend "cuda"`, exitUsage},
		{"cpu reference:7", "no device of that index", exitNoDevice},
		{"cpu vulkan", "install libvulkan1", exitNoDevice},
		{"--format xml cpu cpu", "want table|json|csv|html|svg", exitUsage},
		{"--passes all cpu cpu", "--passes: want before or after", exitUsage},
		{"--image a --input random:1 cpu cpu", "--image and --input: want one", exitUsage},
		{"--input 7 cpu cpu", "--input: want random:SEED", exitUsage},
		{"--input random:-1 cpu cpu", "--input: want random:SEED", exitUsage},
		{"--image gone.png cpu cpu", "gone.png", exitInput},
		{"--image pictures cpu cpu", "want one picture, got 3", exitInput},
		{"--image bad.jpg cpu cpu", "--image: decode bad.jpg", exitInput},
		{"--model resnet18 cpu cpu", "weights", exitModel},
		{"--model resnet5 cpu cpu", "unknown model", exitModel},
		{"--threads x cpu cpu", "--threads", exitUsage},
	} {
		if o := compared(t, strings.Fields(test.args)...); o.code != test.code || !strings.Contains(o.stderr, test.want) || o.stdout != "" {
			t.Errorf("%s: got %+v, want exit code %d, %q", test.args, o, test.code, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := run(t, ctx, strings.NewReader(""), nil, nil, "compare", "reference", "reference"); o.code != exitInterrupted || o.stdout != "" {
		t.Errorf("interrupted: got %+v", o)
	}
}
