package model

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/graph/resnet"
)

// Summary describes a model or an architecture that can be named.
type Summary struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`  // "bundled" or "architecture"
	Input      []int  `json:"input"` // channels, rows, columns
	Classes    int    `json:"classes"`
	LabelsFrom string `json:"labels_from"`
	Params     int64  `json:"params"`
	MACs       int64  `json:"macs"` // for one picture of the input size
}

// List describes the bundled models, then the architectures.
func List(ctx context.Context) ([]Summary, error) {
	var all []Summary
	add := func(kind string, names []string) error {
		for _, name := range names {
			m, err := Load(ctx, name, Options{StructureOnly: true})
			if err != nil {
				return err
			}
			g, err := m.Graph(1)
			if err != nil {
				return fmt.Errorf("list model %q: %w", name, err)
			}
			_, t := Layers(g)
			all = append(all, Summary{name, kind, []int{m.InChannels, m.Side, m.Side}, m.Classes, m.LabelsFrom, t.Params, t.MACs})
		}
		return nil
	}
	if err := add("bundled", BundledNames()); err != nil {
		return nil, err
	}
	return all, add("architecture", resnet.Names())
}
