package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// TestBundledPhotos classifies the photographs that come with the program. They were chosen so that a larger network
// names them all; the bundled one may err on two.
func TestBundledPhotos(t *testing.T) {
	classes := map[string]string{"car": "automobile", "moose": "deer"}
	o := do(t, "classify", "-f", "ndjson", "../../photos/*.jpg")
	if o.code != exitOK {
		t.Fatalf("got %+v", o)
	}
	right, lines := 0, strings.Split(strings.TrimSpace(o.stdout), "\n")
	for _, line := range lines {
		var c struct {
			Image       string
			Predictions []struct{ Label string }
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(filepath.Base(c.Image), ".jpg")
		if other, ok := classes[want]; ok {
			want = other
		}
		if got := c.Predictions[0].Label; got == want {
			right++
		} else {
			t.Logf("%s: got %s", c.Image, got)
		}
	}
	if len(lines) != 10 || right < 8 {
		t.Errorf("%d of %d photos are named rightly, want 8 of 10", right, len(lines))
	}
}

// TestPublishedWeights runs networks that others trained: legacy PyTorch files with the architecture to be detected,
// the preset by the rule for CIFAR stems.
func TestPublishedWeights(t *testing.T) {
	dir, err := golden.Published()
	if err != nil {
		t.Skip("needs", err)
	}
	if testing.Short() || modeltest.Race {
		t.Skip("runs a network on many pictures on the reference")
	}
	files, err := filepath.Glob(filepath.Join(dir, "weights", "resnet20-*.th"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v, want one file", files, err)
	}
	o := do(t, "eval", "-v", "-m", files[0], "--dataset", filepath.Join(dir, "cifar10", "test.tar.gz"), "--limit", "20", "-f", "json")
	var e struct {
		Pictures int
		Top1     float64
		ByName   bool `json:"matched_by_name"`
	}
	if err := json.Unmarshal([]byte(o.stdout), &e); err != nil {
		t.Fatalf("%v: %+v", err, o)
	}
	// 91.7 % were published for lossless pictures; on these JPEGs it is less, and 20 are few.
	if e.Pictures != 20 || e.Top1 < 0.7 || !e.ByName {
		t.Errorf("got %+v, want 20 pictures and a top-1 above 0.7", e)
	}
	if want := "preprocess: resize 32 (shorter, bilinear), crop 32, mean [0.485 0.456 0.406]"; !strings.Contains(o.stderr, want) || !strings.Contains(o.stderr, "(resnet20-cifar)") {
		t.Errorf("got %s, want resnet20-cifar and %q", o.stderr, want)
	}
}
