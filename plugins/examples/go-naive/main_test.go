package main

import (
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
)

// TestConformance runs the suite without the plugin around the backend. Take the filter away to run all of it; then
// 'resnet-run conformance --backend go-naive --profile full' runs it as a plugin.
func TestConformance(t *testing.T) {
	open := func(t *testing.T) backend.Device {
		device, err := naive{}.Open(t.Context(), info.ID)
		if err != nil {
			t.Fatal(err)
		}
		return device
	}
	sum := conformance.Run(t, open, conformance.Options{Filter: "^(contract|outputs|inputs|relu|add)/"})
	t.Log(sum)
	if err := conformance.Verdict(sum, true); err != nil {
		t.Error(err)
	}
}
