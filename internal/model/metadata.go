package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/resnet-run/resnet-run/internal/imaging"
)

// preprocessMetadata is our own form of a transform, "preprocess" in the metadata of a file.
type preprocessMetadata struct {
	Resize        int       `json:"resize"`
	ResizeMode    string    `json:"resize_mode,omitempty"` // "exact" for a square of that side; "shorter", or nothing, for the shorter side
	Crop          int       `json:"crop"`
	Mean          []float64 `json:"mean"`
	Std           []float64 `json:"std"`
	Interpolation string    `json:"interpolation"`
}

// The values of resize_mode.
const (
	resizeShorter = "shorter"
	resizeExact   = "exact"
)

// FileMetadata returns what has to stand in the metadata of a file so that [Load] prepares pictures and names classes as m does:
// "preprocess", "labels" where there are names, and "architecture" where the network is one of the family.
func (m *Model) FileMetadata() (map[string]string, error) {
	p := m.Preprocess
	j := preprocessMetadata{Resize: p.Resize, Crop: p.Crop, Mean: decimal(p.Mean), Std: decimal(p.Std), Interpolation: p.Interpolation.String()}
	if p.ResizeMode == imaging.ResizeExact {
		j.ResizeMode = resizeExact
	}
	values := map[string]any{"preprocess": j}
	if !slices.Equal(m.Labels, numberedLabels(m.Classes)) {
		values["labels"] = m.Labels
	}
	meta := map[string]string{}
	for key, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("write metadata %q: %w", key, err)
		}
		meta[key] = string(text)
	}
	if c, ok := m.Config(); ok {
		meta["architecture"] = c.CanonicalName()
	}
	return meta, nil
}

// decimal returns the numbers with the fewest digits that are those in float32.
func decimal(v [3]float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i], _ = strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64) // it is one
	}
	return out
}
