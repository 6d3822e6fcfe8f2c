package model

import (
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/internal/imaging"
)

// What a file is told about a model makes the same preset of it again.
func TestFileMetadata(t *testing.T) {
	m := &Model{Classes: 2, network: &state{config: config(t, "resnet18")}, Preset: Preset{
		Preprocess: imaging.Preprocess{Resize: 40, ResizeMode: imaging.ResizeExact, Crop: 33, Mean: [3]float32{0.485, 0, -1}, Std: [3]float32{0.229, 1.0 / 3, 7}, Interpolation: imaging.Lanczos},
		Labels:     []string{"a \"b\"", "ü"},
	}}
	for _, mode := range []imaging.ResizeMode{imaging.ResizeExact, imaging.ResizeShorter} {
		m.Preprocess.ResizeMode = mode
		meta, err := m.FileMetadata()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(meta["preprocess"], `"mean":[0.485,0,-1]`) || strings.Contains(meta["preprocess"], "resize_mode") != (mode == imaging.ResizeExact) {
			t.Errorf("got %s", meta["preprocess"])
		}
		h, err := parseMetadata(meta)
		if err != nil {
			t.Fatal(err)
		}
		if *h.preprocess != m.Preprocess || !reflect.DeepEqual(h.labels, m.Labels) || h.detect.Member != "resnet18" {
			t.Errorf("got %+v, %q and %+v, want %+v", h.preprocess, h.labels, h.detect, m.Preset)
		}
	}
	m.Labels = numberedLabels(2)
	meta, err := m.FileMetadata()
	if _, ok := meta["labels"]; ok || err != nil {
		t.Errorf("got %v, %v, want no labels where nothing names the classes", meta, err)
	}
	if _, err := parseMetadata(map[string]string{"preprocess": strings.Replace(meta["preprocess"], `"crop"`, `"resize_mode":"longer","crop"`, 1)}); err == nil ||
		!strings.Contains(err.Error(), `resize_mode: want shorter or exact, got "longer"`) {
		t.Errorf("got %v", err)
	}
}
