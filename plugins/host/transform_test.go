//go:build unix

package host

import (
	"reflect"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/graph"
)

// TestTransformsCross: a plugin whose convolutions are class B is judged so.
func TestTransformsCross(t *testing.T) {
	b := graph.NewBuilder("g")
	x := b.Input("x", graph.F32(1, 16, 32, 32))
	w := b.Param("w", graph.F32(16, 16, 3, 3), graph.NewTensor(graph.F32(16, 16, 3, 3)))
	b.Output(b.Node("conv", graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1}, x, w))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	own, err := cpu.New(cpu.Options{}).Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, own)
	plugin, _ := start(t, "cpu", patient)
	transforms := func(dev backend.Device) map[string]backend.Winograd {
		e, err := dev.Compile(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		defer closeIt(t, e)
		return e.(backend.Transformer).Transforms()
	}
	want, got := transforms(own), transforms(openDevice(t, plugin))
	if len(want) != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v over the wire, want %v", got, want)
	}
}
