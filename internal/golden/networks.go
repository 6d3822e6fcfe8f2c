package golden

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// Network is a golden case of a whole network that is built when it is wanted, for its weights take some 100 MB.
type Network struct {
	Name  string               // "resnet18", "resnet50"
	Build func() (Case, error) // Want has the logits, "fc", of one picture of 224×224
}

// Networks returns whole networks with seeded weights, whose batch norm statistics were calibrated so that
// activations have a standard deviation near 1.
func Networks() []Network {
	var list []Network
	for _, name := range []string{"resnet18", "resnet50"} {
		list = append(list, Network{name, func() (Case, error) {
			c, err := buildNetwork(name)
			if err != nil {
				return Case{}, fmt.Errorf("load golden network %s: %w", name, err)
			}
			return c, nil
		}})
	}
	return list
}

func buildNetwork(name string) (Case, error) {
	dir, err := Dir()
	if err != nil {
		return Case{}, err
	}
	file, err := weights.Open(filepath.Join(dir, name+".safetensors"))
	if err != nil {
		return Case{}, err
	}
	defer file.Close()
	seed, err := strconv.ParseUint(file.Metadata()["seed"], 10, 64)
	if err != nil {
		return Case{}, fmt.Errorf("seed in the metadata: %w", err)
	}
	config, err := resnet.Lookup(name)
	if err != nil {
		return Case{}, err
	}
	g, err := config.Build(1, 224, 224)
	if err != nil {
		return Case{}, err
	}
	params := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		if params[p.Name], err = networkParam(file, name, seed, p); err != nil {
			return Case{}, fmt.Errorf("parameter %q: %w", p.Name, err)
		}
	}
	c := Case{Name: name}
	if c.Graph, err = g.Bind(params); err != nil {
		return Case{}, err
	}
	c.Inputs = [][]float32{seeded.Uniform(seed, name+"/input", g.Inputs[0].Type.Shape.Elems(), 1)}
	logits, err := file.Float64s("want/fc")
	if err != nil {
		return Case{}, err
	}
	c.Want = map[string][]float64{"fc": logits}
	return c, nil
}

// networkParam takes running statistics from the file and makes everything else; the script
// tools/golden/ops/networks.py has the same rule.
func networkParam(file *weights.File, network string, seed uint64, p *graph.Value) (*graph.Tensor, error) {
	s := p.Type.Shape
	mean, std := 0.0, 0.1 // of biases
	switch {
	case strings.Contains(p.Name, ".running_"):
		t, err := file.Tensor(p.Name)
		if err != nil {
			return nil, err
		}
		return graph.FromFloat32s(s, append([]float32(nil), t.Float32s()...)) // a copy, for the file will be closed
	case s.Rank() == 4:
		_, c, h, w := s.NCHW()
		std = math.Sqrt(2 / float64(c*h*w))
	case p.Name == "fc.weight":
		std = math.Sqrt(1 / float64(s.Dim(1)))
	case strings.HasSuffix(p.Name, ".bn3.weight"): // the script says why
		mean, std = 0.3, 0.03
	case strings.HasSuffix(p.Name, ".weight"):
		mean = 1
	}
	return graph.FromFloat32s(s, seeded.UniformAround(seed, network+"/"+p.Name, s.Elems(), mean, std))
}
