package schedule

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
)

// TestTransformsOfThePartsAreTold: what a member computes through transforms is judged as such under a schedule too.
func TestTransformsOfThePartsAreTold(t *testing.T) {
	direct, err := cpu.New(cpu.Options{Threads: 1, Direct: true}).Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	g := bound(t, fused(t, "resnet20-cifar", 4, 32))
	whole := newFake(t, "alone")
	exec, err := whole.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Close()
	want := exec.(backend.Transformer).Transforms()
	if len(want) < 10 {
		t.Fatalf("the cpu backend transforms %d nodes: too few to show anything", len(want))
	}
	for _, c := range []struct {
		name string
		o    Options
		keep func(node string) bool
	}{
		{"parts", Options{Split: ByGraph, Place: []Rule{{"layer1*", "b"}, {"*", "a"}}}, func(node string) bool { return !strings.HasPrefix(node, "layer1") }},
		{"shares", Options{Split: ByBatch}, func(string) bool { return true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Devices = []Member{{"a", newFake(t, "a")}, {"b", direct}}
			c.o.Rates = freeMoves
			s := open(t, schedule(t, c.o), g)
			want := maps.Clone(want)
			maps.DeleteFunc(want, func(node string, _ backend.Winograd) bool { return !c.keep(node) })
			if got := s.exec.(backend.Transformer).Transforms(); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
